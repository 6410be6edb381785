# syntax=docker/dockerfile:1
# The relay in a container: a virtual environment from the lock file, the program beside it, nothing to build with.
FROM python:3.13.9-slim-bookworm AS build
ENV PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python3 -m venv --without-pip /opt/relay
# EXTRA=otel adds what sends traces.
ARG EXTRA=""
COPY requirements.lock requirements-otel.lock /tmp/
RUN python3 -m pip --python /opt/relay/bin/python install --no-compile --only-binary :all: --no-deps --require-hashes \
      -r /tmp/requirements${EXTRA:+-$EXTRA}.lock
# Byte code is made here, since the running container can't write; by hash, so that a copy's time stamps don't matter.
RUN /opt/relay/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/relay/lib
COPY app /srv/relay/app
RUN /opt/relay/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /srv/relay \
    && printf '#!/bin/sh\numask 077\nexec /opt/relay/bin/python -m app "$@"\n' > /opt/relay/bin/relay \
    && chmod 755 /opt/relay/bin/relay

FROM python:3.13.9-slim-bookworm
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Marketo webhook relay" \
      org.opencontainers.image.description="Accepts webinar registrations as webhooks and requests the Marketo Engage smart campaign that e-mails the reminder." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN rm -rf /usr/local/lib/python3.*/site-packages/pip* /usr/local/lib/python3.*/ensurepip /usr/local/bin/pip* \
    && mkdir /data && chown 10001:10001 /data
COPY --from=build /opt/relay /opt/relay
COPY --from=build /srv/relay /srv/relay
# PYTHONSAFEPATH: the working directory is no place to import from. The default database is data/relay.db below it.
ENV PATH=/opt/relay/bin:$PATH PYTHONPATH=/srv/relay PYTHONSAFEPATH=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /
USER 10001:10001
VOLUME /data
EXPOSE 8080
# SIGTERM drains: unready at once, what is in flight is ended, the lease given back, all within 10 seconds.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 CMD ["relay", "healthcheck"]
ENTRYPOINT ["relay"]
CMD ["serve"]
