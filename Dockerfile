# docker build -t ext-proc:0.1.0 .
# docker run --rm -p 9002:9002 -p 9003:9003 ext-proc:0.1.0 [serve hello ...]

# Both images are pinned by digest, so a tag that moves changes nothing here. The digests are those of the index of all
# platforms. To see the newest one of a tag: docker buildx imagetools inspect node:24.21.0-trixie-slim
FROM node:24.21.0-trixie-slim@sha256:173f125896c3b47ddf056734c7ea789d04595a6a08769a8f78e0df642781fb66 AS build
WORKDIR /app
# Dependencies first: they change less often than the sources, and this layer is kept until they do.
# Without scripts, since `prepare` would compile sources that are not here yet.
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
RUN npm run build && npm prune --omit=dev --ignore-scripts --no-audit --no-fund

# Node and the libraries it needs: no shell, no npm, nothing else to keep patched.
FROM gcr.io/distroless/nodejs24-debian13:nonroot@sha256:9eeb7f5887d0e239e78264b06f7f11d2e14be534050481803a9e4728fcdd278e
WORKDIR /app
ENV NODE_ENV=production
# glibc's own default, but fixed: by itself glibc raises it to the largest block that was ever freed. Large buffers then come
# from the heap, and their memory does not return to the system after a burst.
ENV MALLOC_MMAP_THRESHOLD_=131072
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/gen ./gen
COPY --from=build /app/dist ./dist
# By number, so that Kubernetes can check runAsNonRoot.
USER 65532
EXPOSE 9002 9003
# No HEALTHCHECK: Kubernetes has its own probes (deploy/ext.yaml), and one here would start a Node process every few
# seconds and declare a container sick that serves its status elsewhere. Ask http://localhost:9003/readyz.
#
# Node itself is process 1, so that SIGTERM reaches it. Its garbage collector works on the server's own thread, as with
# `npm start`: docs/performance.md says why. SIGUSR1 must not open the inspector.
ENTRYPOINT ["/nodejs/bin/node", "--single-threaded-gc", "--disable-sigusr1", "/app/dist/cli/main.js"]
CMD ["serve"]
