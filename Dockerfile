# syntax=docker/dockerfile:1
FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY src src
RUN npm run build && npm prune --omit=dev

# The version and the checksums are those that src/terraform/install.ts pins.
FROM debian:bookworm-slim AS terraform
ARG TARGETARCH
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl unzip && rm -rf /var/lib/apt/lists/*
RUN case "$TARGETARCH" in \
      amd64) sum=1ce994251c00281d6845f0f268637ba50c0005657eb3cf096b92f753b42ef4dc ;; \
      arm64) sum=a43d1d0da9b9bab214a8305a39db0e40869572594ccf50c416a7756499143633 ;; \
      *) echo "There is no pinned Terraform for $TARGETARCH." >&2; exit 1 ;; \
    esac \
    && curl -fsSL -o /tmp/terraform.zip "https://releases.hashicorp.com/terraform/1.11.4/terraform_1.11.4_linux_${TARGETARCH}.zip" \
    && echo "$sum  /tmp/terraform.zip" | sha256sum -c - \
    && unzip /tmp/terraform.zip terraform -d /usr/local/bin

FROM node:24-bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends bubblewrap ca-certificates git openssh-client tini \
    && rm -rf /var/lib/apt/lists/*
COPY --from=terraform /usr/local/bin/terraform /usr/local/bin/terraform
WORKDIR /app
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY package.json app.yml src/restart.sh ./
RUN install -d -o node -g node -m 0700 /data
USER node
ENV DATA_DIR=/data HOST=0.0.0.0 LOG_FORMAT=json
VOLUME /data
EXPOSE 3000
# Docker kills ten seconds after SIGTERM unless it is told to wait for Terraform: docker run --stop-timeout 3600.
ENTRYPOINT ["tini", "--"]
CMD ["sh", "restart.sh"]
