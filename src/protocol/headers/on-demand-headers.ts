import type { HeaderMap } from "../../../gen/envoy/config/core/v3/base_pb.js";
import type { HttpHeaders, HttpTrailers } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { HeaderIndex } from "./header-index.ts";

type Name = "headers" | "trailers";

/** A base class whose instances are the objects that it is given. */
function given(message: object): object {
  return message;
}

const Given = given as unknown as new (message: object) => object;

/**
 * Marks a message whose headers are made on demand, with their index. A private name is not a property: neither protobuf-es
 * nor a comparison sees it, and a copy of the message is an ordinary message.
 */
class OnDemand extends Given {
  /** The headers themselves once they are made, where the message was frozen before. */
  #form: HeaderIndex | HeaderMap;

  constructor(message: object, index: HeaderIndex) {
    super(message);
    this.#form = index;
  }

  static mark(message: object, index: HeaderIndex): void {
    new OnDemand(message, index);
  }

  static formOf(message: object): HeaderIndex | HeaderMap {
    if (#form in message) return message.#form;
    throw new TypeError("headers on demand cannot be read through another object than the message that has them");
  }

  /** The headers, from now on an ordinary property. */
  static take(message: object, name: Name): HeaderMap {
    const form = OnDemand.formOf(message);
    if (!(form instanceof HeaderIndex)) return form;
    const map = form.toMap();
    if (!settle(message, name, map) && #form in message) message.#form = map;
    return map;
  }
}

/** What the accessor gives while {@link headersOf} looks, instead of making the headers. */
let peeking = false;
let peeked: HeaderIndex | HeaderMap | undefined;

const HEADERS = accessor("headers");
const TRAILERS = accessor("trailers");

/**
 * Gives a message the headers of an index. The property is like any other, but its value is made when it is first read.
 * From then on it is the value that protobuf-es reads from the bytes.
 */
export function setHeadersOnDemand(message: HttpHeaders, index: HeaderIndex): void {
  // The accessors are the same two functions each time. If not, every message would have a different hidden class.
  OnDemand.mark(message, index);
  Reflect.defineProperty(message, "headers", HEADERS);
}

/** The same for trailers. */
export function setTrailersOnDemand(message: HttpTrailers, index: HeaderIndex): void {
  OnDemand.mark(message, index);
  Reflect.defineProperty(message, "trailers", TRAILERS);
}

/** The headers or trailers of a message, as the index if the property was not read or replaced so far. */
export function headersOf(message: HttpHeaders | HttpTrailers): HeaderIndex | HeaderMap | undefined {
  peeked = undefined;
  peeking = true;
  try {
    // Only the property itself knows whether it is still the accessor: it can be deleted, and defined again.
    const map = message.$typeName === "envoy.service.ext_proc.v3.HttpHeaders" ? message.headers : message.trailers;
    return map ?? peeked;
  } finally {
    peeking = false;
  }
}

/** How many headers or trailers a message has; none of them is made. */
export function headerCount(message: HttpHeaders | HttpTrailers): number {
  const headers = headersOf(message);
  return headers instanceof HeaderIndex ? headers.count : (headers?.headers.length ?? 0);
}

function accessor(name: Name): PropertyDescriptor {
  return {
    get(this: object): HeaderMap | undefined {
      if (!peeking) return OnDemand.take(this, name);
      peeked = OnDemand.formOf(this);
      return undefined;
    },
    set(this: object, map: HeaderMap | undefined): void {
      if (!settle(this, name, map)) throw new TypeError(`cannot assign to ${name} of a frozen message`);
    },
    enumerable: true,
    configurable: true,
  };
}

/** Replaces the accessor with an ordinary property; false if the message is frozen. */
function settle(message: object, name: Name, map: HeaderMap | undefined): boolean {
  // An object stays fast if its last property is deleted and another is added, but not if the property is redefined.
  if (Object.isExtensible(message)) Reflect.deleteProperty(message, name);
  return Reflect.defineProperty(message, name, { value: map, writable: true, enumerable: true, configurable: true });
}
