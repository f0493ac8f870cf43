export * from "./types.js";
export { TankError } from "./error.js";
export { Subscription } from "./subscription.js";
export { Tank } from "./tank.js";
