import { type JsonValue, toJson } from "@bufbuild/protobuf";
import {
  type SimulateRequest,
  SimulateRequestSchema,
  type SimulateResponse,
  SimulateResponseSchema,
} from "../../gen/extproc/debug/v1/simulate_pb.js";
import type { Problem } from "../text/problem.ts";
import { messageOfJson } from "./json-problem.ts";

/** Parses an exchange in JSON. A problem begins with its path. */
export function parseExchange(json: unknown): SimulateRequest | Problem {
  return messageOfJson(SimulateRequestSchema, json);
}

/** The result of an exchange, as JSON. */
export function exchangeJson(response: SimulateResponse): JsonValue {
  return toJson(SimulateResponseSchema, response);
}
