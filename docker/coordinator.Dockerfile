# finetuned and ftctl: without LibTorch and CUDA.
#   docker build -f docker/coordinator.Dockerfile -t finetuned-coordinator:0.1.0 .     compiles in a stage of its own
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
      ca-certificates libabsl20220623 libcivetweb1 libcurl4 libfmt9 libgrpc++1.51 libicu72 libprometheus-cpp-core1.0 libprometheus-cpp-pull1.0 \
      libprotobuf32 libspdlog1.10 libsqlite3-0 libssl3 libyaml-cpp0.7 \
 && rm -rf /var/lib/apt/lists/* \
 && install -d -o 10001 -g 10001 -m 700 /var/lib/finetuned
COPY --from=programs /opt/finetuned/bin/finetuned /opt/finetuned/bin/ftctl /usr/local/bin/
USER 10001:10001
ENV XDG_DATA_HOME=/var/lib
VOLUME /var/lib/finetuned
EXPOSE 7717 7718 9464 9466
ENTRYPOINT ["finetuned"]
