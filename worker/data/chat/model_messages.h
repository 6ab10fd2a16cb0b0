// A conversation as the messages that a model's own template is given, in the form of transformers' apply_chat_template.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "worker/data/chat/conversation.h"
#include "worker/data/jinja/jinja_value.h"

namespace ft::data {

// An answer among the messages.
struct PlacedAnswer {
  size_t message = 0;
  bool after_question = false;  // Some question stands before it.
  const Turn* turn = nullptr;
};

struct ModelMessages {
  jinja::List messages;
  std::vector<PlacedAnswer> answers;
  jinja::Value tools = jinja::Value::None();
};

// {"role": ..., "content": ...}
StatusOr<jinja::Value> PlainMessage(std::string_view role, const std::string& content);

// Every system text, question, tool's result and answer as a message of its own. INVALID_ARGUMENT for text that is not
// UTF-8 and for arguments that cannot be passed on. `turns` must outlive the result.
StatusOr<ModelMessages> MessagesOf(const Conversation& turns);
// What stands before the answer to `next`: its system text and its question.
Status AddQuestion(const Turn& next, jinja::List* messages);

Status CheckUtf8(const Turn& turn);

}  // namespace ft::data
