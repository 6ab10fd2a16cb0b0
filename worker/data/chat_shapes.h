// The shapes that hold a list of messages: XTuner's `conversation`, ShareGPT's `conversations`, OpenAI's
// `messages`.
#pragma once

#include "worker/data/conversation.h"
#include "worker/data/record.h"

namespace ft::data {

// [{system?, input?, output, output_with_loss?}]: used as it is.
StatusOr<Conversation> FromXtuner(const Field& list, const Origin& origin);

// [{from, value}] with from = system, human (user), gpt (assistant), function_call, observation (tool).
// Leading answers are skipped; questions in a row are joined with nothing between; every answer closes a
// turn. A function call is an answer and carries loss; an observation is a question. `tools` (null when there
// are none) goes into the system text.
StatusOr<Conversation> FromShareGpt(const Field& list, const Field* tools, const Origin& origin);

// [{role, content, loss?}] with role = system, user, assistant, by the same rules. `loss` is a boolean or
// "true"/"false".
StatusOr<Conversation> FromOpenAi(const Field& list, const Origin& origin);

}  // namespace ft::data
