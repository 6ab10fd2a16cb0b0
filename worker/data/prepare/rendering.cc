#include "worker/data/prepare/rendering.h"

#include <memory>
#include <utility>

#include "worker/data/chat/chat_template.h"

namespace ft::prepare {

StatusOr<Render> OpenRender(const tokenizer::Tokenizer& tokenizer, const std::string& template_name,
                            const std::string& mode_name) {
  ASSIGN_OR_RETURN(const data::TokenizeMode mode, data::ParseTokenizeMode(mode_name));
  ASSIGN_OR_RETURN(data::ChatTemplate opened, data::ChatTemplate::Open(template_name, tokenizer));
  // Shared, because a std::function must be copyable.
  auto chat_template = std::make_shared<const data::ChatTemplate>(std::move(opened));
  return Render([&tokenizer, chat_template, mode](const data::Conversation& turns) -> StatusOr<Sample> {
    ASSIGN_OR_RETURN(data::TokenizedSample sample,
                     data::TokenizeConversation(tokenizer, *chat_template, turns, mode));
    return Sample{std::move(sample.ids), std::move(sample.loss_mask)};
  });
}

}  // namespace ft::prepare
