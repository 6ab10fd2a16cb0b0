# ft-worker and ft-rank, with the libraries of LibTorch and CUDA that they were built with. The GPU's driver comes from
# the node. ft-worker is process 1: it owns ranks and reaps what they leave.
#   docker build -f docker/worker.Dockerfile -t finetuned-worker:0.1.0 .               compiles in a stage of its own
#   make images                                                                        takes what `make build` made
ARG BASE=debian:12-slim
ARG PROGRAMS=compiled

FROM ${BASE} AS compiled
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates git make
COPY . /src
RUN make -C /src install PREFIX=/opt/finetuned

FROM ${BASE} AS prebuilt
COPY build/image /opt/finetuned

FROM ${PROGRAMS} AS programs

FROM ${BASE}
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
      ca-certificates libabsl20220623 libcivetweb1 libcurl4 libfmt9 libgrpc++1.51 libhwy1 libicu72 libjemalloc2 libpcre2-8-0 libprometheus-cpp-core1.0 \
      libprometheus-cpp-pull1.0 libprotobuf32 libpugixml1v5 libsimdjson14 libsnappy1v5 libspdlog1.10 libssl3 libyaml-cpp0.7 libzip4 libzstd1 \
 && rm -rf /var/lib/apt/lists/* \
 && install -d -o 10001 -g 10001 -m 700 /var/lib/ft-worker
COPY --from=programs /opt/finetuned/lib /opt/finetuned/lib
COPY --from=programs /opt/finetuned/bin/ft-worker /opt/finetuned/bin/ft-rank /opt/finetuned/bin/
USER 10001:10001
ENV XDG_DATA_HOME=/var/lib PATH=/opt/finetuned/bin:/usr/local/bin:/usr/bin:/bin \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
VOLUME /var/lib/ft-worker
EXPOSE 9465 9467
ENTRYPOINT ["ft-worker"]
