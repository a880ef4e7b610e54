import type { SessionObserver } from "../session/session-observer.ts";
import type { SetupObserver } from "../session/setup.ts";

/** An observer that calls two observers, in this order. */
export function observeWith(first: SessionObserver, second: SessionObserver): SessionObserver {
  return {
    message(phase, origin) {
      first.message(phase, origin);
      second.message(phase, origin);
    },
    ended(end, origin) {
      first.ended(end, origin);
      second.ended(end, origin);
    },
    fault(fault, outcome, origin) {
      first.fault?.(fault, outcome, origin);
      second.fault?.(fault, outcome, origin);
    },
    unenforced(reason, wanted, origin, place) {
      first.unenforced?.(reason, wanted, origin, place);
      second.unenforced?.(reason, wanted, origin, place);
    },
    threadBlocked(hold) {
      first.threadBlocked?.(hold);
      second.threadBlocked?.(hold);
    },
    doneFailed(processor, cause, origin) {
      first.doneFailed?.(processor, cause, origin);
      second.doneFailed?.(processor, cause, origin);
    },
  };
}

/** An observer of `setup` and `close` that calls two observers, in this order. */
export function observeSetup(first: SetupObserver, second: SetupObserver): SetupObserver {
  return {
    ready(processor) {
      first.ready(processor);
      second.ready(processor);
    },
    failed(processor, cause, retryMs) {
      first.failed(processor, cause, retryMs);
      second.failed(processor, cause, retryMs);
    },
    closeFailed(processor, cause) {
      first.closeFailed(processor, cause);
      second.closeFailed(processor, cause);
    },
  };
}
