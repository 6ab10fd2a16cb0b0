// The shapes that hold a list of messages: XTuner's `conversation`, and role/content or from/value messages
// under whatever name (ShareGPT's `conversations`, OpenAI's `messages`).
#pragma once

#include <string>

#include "worker/data/chat/conversation.h"
#include "worker/data/readers/record.h"

namespace ft::data {

// What a list became.
struct Dialogue {
  Conversation turns;  // Empty = nothing is answered.
  bool empty_question = false;
  bool empty_tool_result = false;
  bool left_over = false;  // Messages without an answer stood at the end and were left out.
};

// What the record says beside its list.
struct Surroundings {
  std::string system;          // Empty = nothing.
  bool system_is_own = false;  // The record's own, not a text given for all records.
  const Field* tools = nullptr;
  TemplateTakes takes;
};

// [{system?, input?, output, output_with_loss?}]: used as it is.
StatusOr<Dialogue> FromXtuner(const Field& list, const Surroundings& around, const Origin& origin);

// Messages in their order: an answer closes a turn, and messages of one side that follow each other stay
// apart (turns that are not answered). A function call is an answer and carries loss; an observation is a
// question. Where the template takes tools, they go to the first turn and calls to their answers; otherwise the tools go
// into the system text. INVALID_ARGUMENT also for two different system texts, one beside the list and one in it, and for
// tools beside role/content messages where the template does not take them.
StatusOr<Dialogue> FromMessages(const Field& list, const Surroundings& around, const Origin& origin);

}  // namespace ft::data
