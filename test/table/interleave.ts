// Stops a thread at one of its atomic accesses: to let another one in, or to die there.

const NAMES = ["load", "store", "add", "compareExchange"] as const;
type Name = (typeof NAMES)[number];

/** Runs `run`, and `hook` before and after each atomic access in it. Accesses of the hook are not noticed. */
export function interleave<T>(hook: (name: Name, done: boolean) => void, run: () => T): T {
  const genuine = NAMES.map((name) => Reflect.get(Atomics, name) as (...args: unknown[]) => unknown);
  const restore = () => {
    for (const [i, name] of NAMES.entries()) Reflect.set(Atomics, name, genuine[i]);
  };
  const arm = () => {
    for (const [i, name] of NAMES.entries()) {
      Reflect.set(Atomics, name, (...args: unknown[]) => {
        restore();
        hook(name, false);
        const result = genuine[i]?.apply(Atomics, args);
        hook(name, true);
        arm();
        return result;
      });
    }
  };
  arm();
  try {
    return run();
  } finally {
    restore();
  }
}

const DEAD = new Error("dead");

/** Runs `run` and lets it die at its nth atomic access, from 0. @returns false when it has fewer and came to its end */
export function dieAt(n: number, run: () => void): boolean {
  let at = 0;
  try {
    interleave((_, done) => {
      if (!done && at++ === n) throw DEAD;
    }, run);
    return false;
  } catch (error) {
    if (error !== DEAD) throw error;
    return true;
  }
}
