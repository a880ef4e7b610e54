import { definitionsOf, isProcessor, type Processor, processorOf } from "./definition.ts";

/**
 * Makes one processor of several. Each phase runs through all of them: in order on the request, in reverse on
 * the response. Each has its own state; their effects are joined in the order in which they ran, and the first
 * `immediateResponse` ends the transaction, so that nothing behind it runs.
 *
 * @throws {TypeError} Where an argument is no processor, there is none, or two of them have the same name.
 */
export function compose(...processors: readonly Processor[]): Processor {
  const stranger = processors.findIndex((processor) => !isProcessor(processor));
  if (stranger >= 0)
    throw new TypeError(`compose: argument ${stranger + 1} is no processor; make one with defineProcessor`);
  if (processors.length === 0) throw new TypeError("compose: needs at least one processor");
  const definitions = processors.flatMap(definitionsOf);
  const names = definitions.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new TypeError(`compose: two processors are named "${twice}"; give one another name`);
  return processorOf(definitions);
}
