/**
 * Why something failed. The code is the server's, such as "forbidden" and "busy", or one of these:
 * "offline", nothing was sent; "lost", the connection ended before the answer, so it may have happened; "closed", for good.
 */
export class TankError extends Error {
  override name = "TankError";
  constructor(
    readonly code: string,
    message: string,
    /** The same can succeed later. */
    readonly retry: boolean,
    /** Of a publication: repeat it with this key, and it is published once. */
    readonly key?: string | undefined,
  ) {
    super(message);
  }
}
