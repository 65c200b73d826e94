// Pace: does something again and again, as often as there is a reason to, and never faster than it can be done.

/**
 * `fn(signal)` is called after `ask()`, `waitMs` later at the earliest, one call at a time; what is asked for meanwhile
 * is one further call. Nothing happens once the signal has aborted. A refusal is tried again with the next `ask`.
 */
export function paced(fn, waitMs, signal) {
  let timer = null;
  let busy = false;
  let wanted = false;

  async function run() {
    timer = null;
    busy = true;
    wanted = false;
    try {
      await fn(signal);
    } catch (error) {
      if (!signal.aborted && !("status" in error)) console.error(error);
    }
    busy = false;
    if (wanted) ask();
  }

  function ask() {
    if (signal.aborted) return;
    if (busy) wanted = true;
    else timer ??= setTimeout(run, waitMs);
  }

  signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
  return ask;
}
