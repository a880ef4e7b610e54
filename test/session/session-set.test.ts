import { describe, expect, test } from "vitest";
import { hello } from "../../src/builtin/hello.ts";
import { Session } from "../../src/session/session.ts";
import type { SessionEnd } from "../../src/session/session-observer.ts";
import { SessionSet } from "../../src/session/session-set.ts";
import { bounded, fc } from "../property/seed.ts";
import { headersOf } from "../protocol/messages.ts";

/** A session that records how it ended, and can run a callback then. */
function open(sessions: SessionSet, onEnd: (end: SessionEnd) => void = () => undefined) {
  const ends: string[] = [];
  const session = new Session(hello, {
    origin: "envoy",
    sessions,
    outlet: {
      send: () => undefined,
      ended(end) {
        ends.push(end.result);
        onEnd(end);
      },
    },
  });
  return { session, ends };
}

describe("SessionSet", () => {
  test("SessionSet counts sessions from their opening to their end, in every kind of end", () => {
    const sessions = new SessionSet();
    const [a, b, c] = [open(sessions), open(sessions), open(sessions)];
    expect(sessions.size).toBe(3);
    b.session.finish();
    b.session.cancel();
    expect(sessions.size).toBe(2);
    a.session.receive(headersOf("requestHeaders"));
    a.session.cancel();
    c.session.fail(undefined);
    expect(sessions.size).toBe(0);
  });

  test("SessionSet shuts down exactly the open sessions, whatever was opened and ended before", () => {
    fc.assert(
      fc.property(fc.array(fc.option(fc.nat(30)), { maxLength: 60 }), (steps) => {
        const sessions = new SessionSet();
        const all: ReturnType<typeof open>[] = [];
        const ended = new Set<number>();
        for (const step of steps) {
          if (step === null) all.push(open(sessions));
          else if (step < all.length) {
            all[step]?.session.finish();
            ended.add(step);
          }
        }
        expect(sessions.size).toBe(all.length - ended.size);
        sessions.shutDown();
        expect(sessions.size).toBe(0);
        expect(all.map(({ ends }) => ends)).toEqual(all.map(() => ["completed"]));
      }),
      bounded(500),
    );
  });

  test("SessionSet keeps no reference to a session that is over", () => {
    const sessions = new SessionSet();
    const [a, b, c] = [open(sessions), open(sessions), open(sessions)];
    b.session.finish();
    expect(b.session.links).toEqual({ previous: undefined, next: undefined });
    expect([a.session.links.next, a.session.links.previous]).toEqual([undefined, c.session]);
    expect([c.session.links.next, c.session.links.previous]).toEqual([a.session, undefined]);
  });

  test("SessionSet ends all sessions if the end of one ends its neighbours too", () => {
    for (const victims of [[0], [1], [2], [0, 2], [0, 1, 2]]) {
      const sessions = new SessionSet();
      const all: ReturnType<typeof open>[] = [];
      for (let n = 0; n < 4; n++) {
        const onEnd = n === 3 ? () => victims.forEach((victim) => void all[victim]?.session.cancel()) : undefined;
        all.push(open(sessions, onEnd));
      }
      sessions.shutDown();
      expect(sessions.size).toBe(0);
      expect(all.map(({ ends }) => ends.length)).toEqual([1, 1, 1, 1]);
    }
  });

  test("SessionSet can be used again after a shutdown", () => {
    const sessions = new SessionSet();
    open(sessions);
    sessions.shutDown();
    const late = open(sessions);
    expect(sessions.size).toBe(1);
    sessions.shutDown();
    expect([sessions.size, late.ends]).toEqual([0, ["completed"]]);
  });
});
