// The families of models that can be loaded, by model_type: from a Hugging Face config.json to a DecoderConfig, and from that to
// the names of stored weights and their roles.
#pragma once

#include <string>
#include <string_view>

#include "core/base/status.h"
#include "worker/model/decoder/config.h"
#include "worker/model/decoder/layout.h"

namespace ft::model {

// `file` is named in errors. UNIMPLEMENTED for a family or an option that this version does not know, with
// its name; INVALID_ARGUMENT for what is malformed.
StatusOr<DecoderConfig> ParseConfig(std::string_view json_text, std::string_view file);

// What the model's files store. REQUIRES: a configuration of a family that ParseConfig knows.
Layout LayoutOf(const DecoderConfig& config);

// Tables of angles that older programs stored; they follow from the configuration.
bool IsRotaryTable(std::string_view stored);

// The name that the layout gives a stored tensor; empty for tensors that carry no weights (old rotary tables, the second copy of
// a tied head).
std::string LayoutName(const DecoderConfig& config, std::string_view stored);

// Whether it is the head of a model whose head is the embedding: files of some families store that twice.
bool IsHeadCopy(const DecoderConfig& config, std::string_view stored);

// Whether the decoder is the text part of a model that has other parts beside, in the same files.
bool IsTextPart(const DecoderConfig& config);

// Whether a tensor of this name, which the layout does not have, would change what the decoder computes if it were known.
bool IsWithinDecoder(const DecoderConfig& config, std::string_view name);

}  // namespace ft::model
