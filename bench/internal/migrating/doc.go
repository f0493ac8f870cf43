// Package migrating checks the code that pages show of other libraries, in the one module that has them. In a page, such
// a block is marked "go bench" and stands in front of its counterpart with tank, marked "go".
package migrating
