/** A Guard calls a function of the user, if there is one. What it throws, now or as a promise, is reported and harms nobody. */
export type Guard = <A extends unknown[], R>(f: ((...args: A) => R) | undefined, ...args: A) => R | undefined;

export const guard =
  (report: (error: unknown) => void): Guard =>
  (f, ...args) => {
    try {
      const result = f?.(...args);
      (result as { catch?: (f: typeof report) => void } | undefined)?.catch?.(report);
      return result;
    } catch (error) {
      report(error);
      return undefined;
    }
  };
