import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { WireType } from "@bufbuild/protobuf/wire";
import { expect, test } from "vitest";
import {
  type HttpHeaders,
  HttpHeadersSchema,
  ProcessingRequestSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { defineProcessor } from "../../src/processor/definition.ts";
import { headersOf } from "../protocol/messages.ts";
import { recordSession } from "../session/recorded-session.ts";
import { bounded, fc } from "./seed.ts";

/** Fields that a later Envoy may add. */
const fieldsArbitrary = fc.array(
  fc.record({
    no: fc.integer({ min: 1_000, max: 50_000 }),
    wireType: fc.constant(WireType.LengthDelimited),
    // A length and as many bytes.
    data: fc.uint8Array({ maxLength: 20 }).map((bytes) => Uint8Array.of(bytes.length, ...bytes)),
  }),
  { minLength: 1, maxLength: 4 },
);

test("unknown fields of a message and of its parts reach the handler, and do no harm", () => {
  fc.assert(
    fc.property(fieldsArbitrary, fieldsArbitrary, (outer, inner) => {
      const message = headersOf("requestHeaders", [["x-a", "1"]]);
      message.$unknown = outer;
      if (message.request.case === "requestHeaders") message.request.value.$unknown = inner;
      const received = fromBinary(ProcessingRequestSchema, toBinary(ProcessingRequestSchema, message));

      const seen: HttpHeaders[] = [];
      const recorded = recordSession(
        defineProcessor({ name: "keep", requestHeaders: (headers) => void seen.push(headers) }),
      );
      recorded.receive(received);
      recorded.session.finish();

      expect(recorded.log).toEqual(["requestHeaders", "ended: completed"]);
      const [headers] = seen;
      expect(headers && toBinary(HttpHeadersSchema, headers)).toEqual(
        toBinary(HttpHeadersSchema, message.request.value as HttpHeaders),
      );
      expect(headers?.$unknown).toEqual(inner);
      expect(received.$unknown).toEqual(outer);
    }),
    bounded(200),
  );
});
