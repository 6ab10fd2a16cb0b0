// A Llama GGUF's header as the config.json that Hugging Face would store.
#pragma once

#include <string>

#include "core/gguf/gguf_header.h"

namespace ft::gguf {

// INVALID_ARGUMENT, without the file's name: another architecture than llama, which is all that is read.
Status CheckArchitecture(const GgufMetadata& metadata);

// From the metadata and the tensors that are there (tied head, biases). INVALID_ARGUMENT, without the file's name: as above, or the key
// that is missing or says something that a Llama config cannot.
StatusOr<std::string> ConfigJson(const GgufHeader& header);

}  // namespace ft::gguf
