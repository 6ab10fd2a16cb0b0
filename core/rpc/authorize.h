// Who may call: checks that run before a handler, on ports with TLS. A refusal is PERMISSION_DENIED or
// UNAUTHENTICATED with one sentence. Thread-safe; they do not block.
#pragma once

#include <grpcpp/security/auth_metadata_processor.h>

#include <memory>
#include <string>

#include "core/base/status.h"

namespace ft::rpc {

// A worker's certificate carries this as a URI among its subject alternative names.
inline constexpr char kWorkerRole[] = "urn:finetuned:role:worker";

// Lets only clients whose verified certificate names `role` call.
std::shared_ptr<grpc::AuthMetadataProcessor> RequireRole(std::string role);

// Lets only clients call that send `authorization: Bearer TOKEN` with a token of the file. The file holds one
// user a line, `NAME SHA256`, where SHA256 is that of the token's text in hexadecimal; empty lines and lines
// that start with # are skipped. INVALID_ARGUMENT with file and line for anything else, and for a file
// without users.
StatusOr<std::shared_ptr<grpc::AuthMetadataProcessor>> RequireToken(const std::string& path);

}  // namespace ft::rpc
