import { ConnectionError } from "./end-reason.ts";
import { COMPRESSION_ERROR } from "./error-codes.ts";

/** RFC 7541 appendix B. The code is canonical, so the lengths in bits of the symbols 0 to 256 define it. */
const CODE_LENGTHS = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
  28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6,
  5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23,
  22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22,
  23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26,
  20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27,
  27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27,
  27, 27, 27, 26, 30,
];
const EOS = 256;

/** Values of EMITTED that are not symbols. */
const NONE = -1;
const ERROR = -2;

/**
 * Module state: this table and the next two are filled when the module is loaded. One state for each inner node of the
 * code tree, one entry for each state and half byte. No code is shorter than five bits, so half a byte completes one
 * symbol at most.
 */
const NEXT_STATE = new Uint16Array(256 * 16);
/** Module state: the symbol that an entry of NEXT_STATE completes. */
const EMITTED = new Int16Array(256 * 16);
/** Module state: section 5.2: a string may end with up to seven bits of EOS, which are ones. */
const MAY_END = new Uint8Array(256);

/** An inner node of the code tree: its children by bit. An inner node is its number, a symbol is its complement. */
type Node = [zero: number, one: number];

function buildTree(): Node[] {
  const tree: Node[] = [[0, 0]];
  const symbols = CODE_LENGTHS.map((length, symbol) => ({ symbol, length }));
  symbols.sort((a, b) => a.length - b.length || a.symbol - b.symbol);
  let code = 0;
  let previousLength = symbols[0]?.length ?? 0;
  for (const { symbol, length } of symbols) {
    code *= 2 ** (length - previousLength);
    previousLength = length;
    insertCode(tree, { symbol, length, code });
    code++;
  }
  return tree;
}

function insertCode(tree: Node[], { symbol, length, code }: { symbol: number; length: number; code: number }): void {
  let node = tree[0];
  for (let bit = length - 1; bit >= 0 && node !== undefined; bit--) {
    const side = (code >>> bit) & 1;
    if (bit === 0) node[side] = ~symbol;
    else if (node[side] === 0) node[side] = tree.push([0, 0]) - 1;
    node = tree[node[side] ?? 0];
  }
}

function fillTables(tree: Node[]): void {
  for (let state = 0; state < tree.length; state++) {
    for (let nibble = 0; nibble < 16; nibble++) {
      const at = state * 16 + nibble;
      let node = state;
      EMITTED[at] = NONE;
      for (let bit = 3; bit >= 0 && EMITTED[at] !== ERROR; bit--) {
        const child = tree[node]?.[(nibble >>> bit) & 1] ?? 0;
        if (child < 0) EMITTED[at] = ~child === EOS ? ERROR : ~child;
        node = Math.max(child, 0);
      }
      NEXT_STATE[at] = node;
    }
  }
  for (let node = 0, bits = 0; bits <= 7; bits++) {
    MAY_END[node] = 1;
    node = tree[node]?.[1] ?? 0;
  }
}

fillTables(buildTree());

/** Module state: memory for one decoded string, because strings are decoded one after the other. */
let scratch = Buffer.allocUnsafeSlow(4096);

/**
 * Decodes a Huffman-coded string (RFC 7541 section 5.2), one character per byte.
 *
 * @throws ConnectionError on EOS, on padding of eight bits or more, and on padding that is not all ones.
 */
export function decodeHuffman(bytes: Uint8Array, start: number, end: number): string {
  // The shortest code has five bits.
  const longest = Math.ceil(((end - start) * 8) / 5);
  if (scratch.length < longest) scratch = Buffer.allocUnsafeSlow(longest * 2);
  const out = scratch;
  let length = 0;
  let state = 0;
  for (let i = start; i < end; i++) {
    const byte = bytes[i] ?? 0;
    const high = state * 16 + (byte >>> 4);
    const first = EMITTED[high] ?? ERROR;
    if (first >= 0) out[length++] = first;
    const low = (NEXT_STATE[high] ?? 0) * 16 + (byte & 15);
    const second = EMITTED[low] ?? ERROR;
    if (second >= 0) out[length++] = second;
    if (first === ERROR || second === ERROR) throw invalidCode();
    state = NEXT_STATE[low] ?? 0;
  }
  if (MAY_END[state] !== 1) throw invalidCode();
  return out.toString("latin1", 0, length);
}

/** Checks a Huffman-coded string that comes in pieces, and counts its characters without keeping them. */
export class HuffmanCounter {
  /** Characters so far. */
  length = 0;
  #state = 0;

  /**
   * Checks the next piece.
   *
   * @throws ConnectionError as decodeHuffman does.
   */
  add(bytes: Uint8Array, start: number, end: number): void {
    for (let i = start; i < end; i++) {
      const byte = bytes[i] ?? 0;
      this.#step(byte >>> 4);
      this.#step(byte & 15);
    }
  }

  /** The string is complete. */
  finish(): void {
    if (MAY_END[this.#state] !== 1) throw invalidCode();
  }

  #step(nibble: number): void {
    const at = this.#state * 16 + nibble;
    const emitted = EMITTED[at] ?? ERROR;
    if (emitted === ERROR) throw invalidCode();
    if (emitted >= 0) this.length++;
    this.#state = NEXT_STATE[at] ?? 0;
  }
}

function invalidCode(): ConnectionError {
  return new ConnectionError(COMPRESSION_ERROR, "invalid_hpack", "HPACK: invalid Huffman code");
}
