import { defineProcessor, replaceJson, setHeader } from "ext-proc";

export default defineProcessor({
  name: "orders",
  requestBody: {
    read: "json",
    maxBytes: 1 << 20,
    when: (tx) => tx.request.get("content-type")?.startsWith("application/json"),
    handle(order) {
      if (typeof order !== "object" || order === null) return undefined;
      return [replaceJson({ ...order, seen: true }), setHeader("x-fields", String(Object.keys(order).length))];
    },
  },
});
