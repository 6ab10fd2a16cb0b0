// One entry of a list of messages, whichever tool wrote it. docs/formats/records.md lists the names of roles,
// texts and loss keys that are understood; everything else in a message is refused by name, since what is not
// read would be learnt wrongly in silence.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "worker/data/readers/record.h"

namespace ft::data {

enum class Speaker { kSystem, kQuestion, kToolResult, kAnswer };

struct Message {
  Speaker speaker = Speaker::kQuestion;
  std::string text;
  bool loss = true;  // Whether an answer is learnt.
};

// `number` counts the messages of a record from 1. INVALID_ARGUMENT names the record's place, the message's
// number and the key.
StatusOr<Message> ReadMessage(const nlohmann::json& item, size_t number, const Origin& origin);

// Whether the message carries loss by its `key`: a boolean, 0 or 1, or the text "true" or "false"; absent or
// null = yes.
StatusOr<bool> LossOf(const nlohmann::json& item, std::string_view key, size_t number, const Origin& origin);

// Whether a value says nothing: null, or an empty text, list or object. Exporters fill keys that a message
// lacks with these.
bool SaysNothing(const nlohmann::json& value);

// A list whose first entry is an object with a role.
bool IsMessageList(const nlohmann::json& list);
// Whether its first message names its speaker by `from`, as ShareGPT does.
bool NamesSpeakersByFrom(const nlohmann::json& list);

}  // namespace ft::data
