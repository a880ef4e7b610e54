import { fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import {
  type SimulateRequest,
  SimulateRequestSchema,
  type SimulateResponse,
  SimulateResponseSchema,
} from "../../gen/extproc/debug/v1/simulate_pb.js";
import { jsonProblem } from "./json-problem.ts";
import { ExchangeProblem } from "./read-exchange.ts";

/**
 * Parses an exchange in JSON.
 *
 * @throws {ExchangeProblem} If it is not an exchange. The message has the path to the problem.
 */
export function parseExchange(json: unknown): SimulateRequest {
  const problem = jsonProblem(SimulateRequestSchema, json);
  if (problem !== undefined) throw new ExchangeProblem(problem);
  return fromJson(SimulateRequestSchema, json as JsonValue);
}

/** The result of an exchange, as JSON. */
export function exchangeJson(response: SimulateResponse): JsonValue {
  return toJson(SimulateResponseSchema, response);
}
