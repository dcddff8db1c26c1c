# syntax=docker/dockerfile:1

# An S3-compatible store in a folder, where objects are plain files: Versity's gateway (Apache-2.0), not as root, with
# one bucket.
ARG GATEWAY=ghcr.io/versity/versitygw:v1.8.0
FROM ${GATEWAY}
COPY --chmod=755 docker/with_secrets.sh /usr/local/bin/with_secrets
# A folder is a bucket. A new volume takes over what lies here, with its owner.
RUN install -d -o 10001 -g 10001 /data /data/dferc
USER 10001:10001
VOLUME /data
EXPOSE 7070
ENV VGW_PORT=:7070 VGW_REGION=us-east-1 VGW_HEALTH=/health
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:7070/health"]
ENTRYPOINT ["with_secrets", "versitygw"]
CMD ["posix", "/data"]
