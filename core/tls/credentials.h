// gRPC credentials from PEM files. The files are looked at again every few seconds, so a renewed certificate
// is used for the next connection without a restart; a renewed file that is broken is logged by gRPC and the
// old one stays. The only file that uses gRPC's experimental TLS interface. Functions are thread-safe.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <string_view>

#include "core/base/status.h"

namespace ft::tls {

struct Files {
  std::string certificate;  // Our own, leaf first, then the chain; empty = none (ftctl).
  std::string key;          // The certificate's key, without a passphrase.
  std::string ca;           // Who signs the other side's certificates; empty on a server = clients show none.
};

// Reads all files that are named. INVALID_ARGUMENT, in one sentence that starts with the key of the
// configuration
// (`certificate`, `key`, or what `ca_key` calls the CA): a file that cannot be read, is no PEM, has expired,
// needs a passphrase, or a key of another certificate.
Status Check(const Files& files, std::string_view ca_key);

// For a listening port. With `ca`, a client must show a certificate that it signed. REQUIRES: certificate and
// key.
std::shared_ptr<grpc::ServerCredentials> ServerCredentials(const Files& files);

// For a channel: the server's certificate must be signed by `ca` and name the host that was dialled.
// REQUIRES: ca.
std::shared_ptr<grpc::ChannelCredentials> ChannelCredentials(const Files& files);

}  // namespace ft::tls
