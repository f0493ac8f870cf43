package inspector

import (
	"slices"
	"time"
)

// table is rows that were found out at one moment. They do not change; orders are added by whoever has the turn.
type table[R any] struct {
	time   time.Time
	rows   []R
	orders map[string][]int32 // that were asked for, by sort: indices of rows
}

// compare tells how two rows are ordered: like cmp.Compare.
type compare[R any] func(a, b *R) int

// order returns the indices of the rows in the order of a window. Rows that are the same in this respect stay in the order in
// which they are in the table.
func (t *table[R]) order(w window, keys map[string]compare[R]) []int32 {
	if order := t.orders[w.sort()]; order != nil {
		return order
	}
	order := make([]int32, len(t.rows))
	for i := range order {
		order[i] = int32(i) // #nosec G115 -- there are not so many
	}
	by := keys[w.key]
	slices.SortStableFunc(order, func(a, b int32) int {
		if w.descending {
			a, b = b, a
		}
		return by(&t.rows[a], &t.rows[b])
	})
	if t.orders == nil {
		t.orders = make(map[string][]int32)
	}
	t.orders[w.sort()] = order
	return order
}

// page is a part of a table, as JSON.
type page[R any] struct {
	Time    time.Time `json:"time"`
	Total   int       `json:"total"`   // rows
	Matched int       `json:"matched"` // of them, by the filter
	Page    int       `json:"page"`
	Size    int       `json:"size"`
	Pages   int       `json:"pages"`
	Sort    string    `json:"sort"`
	Items   []R       `json:"items"`
}

// page returns the rows of a window, of those that match, in an order that order has returned.
func (t *table[R]) page(w window, order []int32, match func(*R) bool) page[R] {
	p := page[R]{Time: t.time, Total: len(t.rows), Page: w.page, Size: w.size, Sort: w.sort(), Items: []R{}}
	first := int64(w.page-1) * int64(w.size)
	for _, i := range order {
		row := &t.rows[i]
		if !match(row) {
			continue
		}
		if int64(p.Matched) >= first && len(p.Items) < w.size {
			p.Items = append(p.Items, *row)
		}
		p.Matched++
	}
	p.Pages = (p.Matched + w.size - 1) / w.size
	return p
}
