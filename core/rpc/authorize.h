// Who may call: checks that run before a handler, on ports with TLS. A refusal is PERMISSION_DENIED or
// UNAUTHENTICATED with one sentence, is logged (at most once a second) and told to `on_refused`. Thread-safe; they do not block,
// but for reading the token file when it was changed.
#pragma once

#include <grpcpp/security/auth_metadata_processor.h>

#include <functional>
#include <memory>
#include <string>

#include "core/base/status.h"

namespace ft::rpc {

// A worker's certificate carries this as a URI among its subject alternative names.
inline constexpr char kWorkerRole[] = "urn:finetuned:role:worker";

// A worker's certificate may carry these beside it: the nodes that it may register as. Without any it may be every node.
inline constexpr char kNodePrefix[] = "urn:finetuned:node:";

// `reason` is one of kRefusals.
using OnRefused = std::function<void(const char* reason)>;
inline constexpr const char* kRefusals[] = {"no_token", "unknown_token", "no_role"};

// Under this name a call's authentication context holds the user whose token was shown.
inline constexpr char kUserProperty[] = "finetuned_user";

// Lets only clients whose verified certificate names `role` call.
std::shared_ptr<grpc::AuthMetadataProcessor> RequireRole(std::string role, OnRefused on_refused);

// Lets only clients call that send `authorization: Bearer TOKEN` with a token of the file. The file holds one
// user a line, `NAME SHA256`, where SHA256 is that of the token's text in hexadecimal; empty lines and lines
// that start with # are skipped. INVALID_ARGUMENT with file and line for anything else, and for a file
// without users. The file is looked at again once a second: a token that is taken out is refused from then on. A file that cannot
// be read any more, or is wrong, is said in the log, and what it last held stays in force.
StatusOr<std::shared_ptr<grpc::AuthMetadataProcessor>> RequireToken(const std::string& path,
                                                                    OnRefused on_refused);

// Whether the peer's certificate lets it be this node.
bool MayBeNode(const grpc::AuthContext& context, const std::string& node_id);

}  // namespace ft::rpc
