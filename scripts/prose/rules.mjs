// The phrases that the prose linter rejects. A blank in a pattern matches white space of any length, a line break included.

/**
 * @typedef {object} Rule
 * @property {RegExp} pattern
 * @property {string} advice What to write instead.
 * @property {string} rejected A sentence that the rule rejects; a test checks it.
 * @property {string} accepted A sentence that the rule accepts; a test checks it.
 */

/** @type {readonly Readonly<Rule>[]} */
export const RULES = [
  {
    pattern: rule("(?<!\\bthere )\\b(?:is|are|was|were|isn't|been) no\\b(?! (?:longer|more|less|fewer)\\b)"),
    advice: 'write "is not a"',
    rejected: "A bare object is no effect.",
    accepted: "There is no body, and the value is no longer read.",
  },
  {
    pattern: rule("(?<!\\b[Tt]here )\\b(?:is|are|was|were) none\\b(?! of)", "g"),
    advice: 'write "is not a"',
    rejected: "An override that changes nothing is none.",
    accepted: "It is added if there is none, and is none of the two.",
  },
  {
    pattern: rule("\\b(?:nobody|somebody|anybody|whoever|whomever|whatever it be)\\b"),
    advice: "name who it is: the client, the server, Envoy, the caller, a handler",
    rejected: "Nobody waits for the answer.",
    accepted: "No handler waits for the answer.",
  },
  {
    pattern: rule("\\b(?:he|him|his|she|her|hers|himself|herself)\\b"),
    advice: "name the client, the author or the operator again",
    rejected: "Envoy can only reset him.",
    accepted: "Envoy can only reset the client.",
  },
  {
    pattern: rule(
      "\\bof (?:one's|(?:its|their|our|your|my) own(?=[^\\w\\s]| (?:and|or|in|for|on|to|with|which|that|from|by|at|as|is|are|has|if)\\b))",
    ),
    advice: 'write "its own X" or "a separate X"',
    rejected: "Each direction has a queue of its own.",
    accepted: "Each direction has its own queue. Envoy counts many of its own resets.",
  },
  {
    pattern: rule("\\btime-outs?\\b"),
    advice: 'write "timeout"',
    rejected: "The time-out is over.",
    accepted: "The timeout is over.",
  },
  {
    pattern: rule("\\b(?:owe[sd]?|owing)\\b"),
    advice: 'write "waits for an answer", "needs an answer" or "is due"',
    rejected: "A message that is owed an answer gets one.",
    accepted: "A message that waits for an answer gets one.",
  },
  {
    pattern: rule("\\b(?:say|says|said) (?:no|yes)\\b"),
    advice: 'write "fails", "rejects" or "answers 503"',
    rejected: "Health checks say no.",
    accepted: "Health checks fail.",
  },
  {
    pattern: rule("\\bbeside\\b"),
    advice: 'write "next to", "with" or "in addition to"',
    rejected: "It counts beside the body.",
    accepted: "It counts with the body, and nothing besides.",
  },
  {
    pattern: rule("\\bin place of\\b"),
    advice: 'write "instead of"',
    rejected: "It is sent in place of the body.",
    accepted: "It is sent instead of the body.",
  },
  {
    pattern: rule("\\b(?:anew|likewise|thereof|therein|whereupon|hereby|hitherto|henceforth)\\b"),
    advice: 'use a common word, such as "again" or "too"',
    rejected: "The timer starts anew.",
    accepted: "The timer starts again.",
  },
  {
    pattern: rule(
      "\\bwhere (?:there (?:is|are|was|were)|nothing|none|no (?!\\w+ly\\b)\\w+|it (?:is|was|has|does|can)|one is)\\b",
    ),
    advice: 'write "if" for a condition, "when" for a time',
    rejected: "Undefined where there is none.",
    accepted: "Undefined if there is none. The folder where the file is stays.",
  },
  {
    pattern: rule("\\b(?:undefined|true|false|empty|absent|zero|none|thrown) where\\b"),
    advice: 'write "if"',
    rejected: "True where Envoy only watches.",
    accepted: "True if Envoy only sends copies.",
  },
  {
    pattern: rule("\\b(?:what|whatever) (?:comes|came|becomes|became) of\\b|\\bgo(?:es)? by\\b|\\bwent by\\b"),
    advice: 'write what happens, or "uses", "follows"',
    rejected: "What becomes of a body, and what an exchange goes by.",
    accepted: "What happens to a body, and which options an exchange has.",
  },
  {
    pattern: rule(
      "\\b(?:plays?|played|playing|hears?|heard|upon|be had|in vain|for good|all the same|as it were|by and by)\\b",
    ),
    advice: "use the word of the field: runs, sends, simulates, receives, after, still, without effect",
    rejected: "The simulator plays an exchange, and the server hears of it all the same.",
    accepted: "The simulator runs an exchange, and the server still gets its messages.",
  },
  {
    pattern: rule("\\b(?:hundred and first|a hundred and|a tenth, so)\\b"),
    advice: "write numbers in digits",
    rejected: "It rejects a hundred and first header.",
    accepted: "It rejects a 101st header.",
  },
  {
    pattern: rule(
      "\\b(?:for want of|bears it|at work for|let go of|lets go of|stands? aside|makes? (?:of it|of them))\\b",
    ),
    advice: "say literally what happens",
    rejected: "It lets go of the message.",
    accepted: "It drops its reference to the message.",
  },
];

/**
 * @param {string} source
 * @param {string} flags
 */
function rule(source, flags = "gi") {
  return new RegExp(source.replaceAll(" ", "\\s+"), flags);
}
