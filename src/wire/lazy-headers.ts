import type { HeaderMap } from "../../gen/envoy/config/core/v3/base_pb.js";
import type { HttpHeaders, HttpTrailers } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { HeaderIndex } from "./header-index.ts";

type Name = "headers" | "trailers";

/** A base class whose instances are the objects that its constructor gets. */
function given(message: object): object {
  return message;
}

const Given = given as unknown as new (message: object) => object;

/**
 * Marks a message whose headers are created when they are first read, and keeps their index. A private name is not a
 * property: neither protobuf-es nor a comparison sees it, and a copy of the message is an ordinary message.
 */
class OnDemand extends Given {
  /** The index, or the headers if they were created while the message was frozen. */
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

  /** Creates the headers, which from now on are an ordinary property. */
  static take(message: object, name: Name): HeaderMap {
    const form = OnDemand.formOf(message);
    if (!(form instanceof HeaderIndex)) return form;
    const map = form.toMap();
    if (!settle(message, name, map) && #form in message) message.#form = map;
    return map;
  }
}

/**
 * Module state: true while {@link headersOf} reads the property. The accessor has no arguments, and then must not create
 * the headers.
 */
let peeking = false;
/** Module state: what the accessor found while `peeking` is true. */
let peeked: HeaderIndex | HeaderMap | undefined;

const HEADERS = accessor("headers");
const TRAILERS = accessor("trailers");

/**
 * Gives a message the headers of an index. The property looks like any other, but its value is created when it is first
 * read. The value is the same as the one that protobuf-es reads from the bytes.
 */
export function setHeadersOnDemand(message: HttpHeaders, index: HeaderIndex): void {
  // The accessors must be the same two functions each time. Otherwise every message would have a different hidden
  // class.
  OnDemand.mark(message, index);
  Reflect.defineProperty(message, "headers", HEADERS);
}

/** The same as {@link setHeadersOnDemand} for trailers. */
export function setTrailersOnDemand(message: HttpTrailers, index: HeaderIndex): void {
  OnDemand.mark(message, index);
  Reflect.defineProperty(message, "trailers", TRAILERS);
}

/**
 * Returns the headers or trailers of a message. It returns the index if the property was not read or replaced so far.
 */
export function headersOf(message: HttpHeaders | HttpTrailers): HeaderIndex | HeaderMap | undefined {
  peeked = undefined;
  peeking = true;
  try {
    // Only the property itself shows whether it is still the accessor, because it can be deleted and defined again.
    const map = message.$typeName === "envoy.service.ext_proc.v3.HttpHeaders" ? message.headers : message.trailers;
    return map ?? peeked;
  } finally {
    peeking = false;
  }
}

/** Returns the number of headers or trailers of a message, without creating them. */
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

/** Replaces the accessor by an ordinary property; false if the message is frozen. */
function settle(message: object, name: Name, map: HeaderMap | undefined): boolean {
  // An object stays fast if its last property is deleted and added again, but not if the property is redefined.
  if (Object.isExtensible(message)) Reflect.deleteProperty(message, name);
  return Reflect.defineProperty(message, name, { value: map, writable: true, enumerable: true, configurable: true });
}
