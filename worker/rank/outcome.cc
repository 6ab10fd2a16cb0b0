#include "worker/rank/outcome.h"

namespace ft::rank {

records::Result Failed(std::string failure_class, const Status& status, int64_t step) {
  return {.state = records::ResultState::kFailed,
          .failure_class = std::move(failure_class),
          .message = std::string(Message(status)),
          .step = step};
}

std::string_view ClassOfStep(const Status& status) {
  return absl::IsInvalidArgument(status) ? "DATA" : "NAN_LOSS";
}

}  // namespace ft::rank
