#include "worker/data/prepare/xtuner_rows.h"

#include <utility>

namespace ft::prepare {

void XtunerRows::Add(const Sample& sample) {
  buffer_.ids.insert(buffer_.ids.end(), sample.ids.begin(), sample.ids.end());
  buffer_.loss_mask.insert(buffer_.loss_mask.end(), sample.loss_mask.begin(), sample.loss_mask.end());
  if (++in_group_ == kGroup) EndGroup();
}

void XtunerRows::EndGroup() {
  const auto length = static_cast<std::ptrdiff_t>(row_tokens_);
  in_group_ = 0;
  if (std::ssize(buffer_.ids) < length) {
    if (!buffer_.ids.empty()) emit_(buffer_);
    buffer_ = Sample();
    return;
  }
  const std::ptrdiff_t whole = std::ssize(buffer_.ids) / length * length;
  for (std::ptrdiff_t at = 0; at < whole; at += length) {
    Sample row;
    row.ids.assign(buffer_.ids.begin() + at, buffer_.ids.begin() + at + length);
    row.loss_mask.assign(buffer_.loss_mask.begin() + at, buffer_.loss_mask.begin() + at + length);
    emit_(row);
  }
  buffer_.ids.erase(buffer_.ids.begin(), buffer_.ids.begin() + whole);
  buffer_.loss_mask.erase(buffer_.loss_mask.begin(), buffer_.loss_mask.begin() + whole);
}

int64_t XtunerRows::Finish() {
  if (in_group_ > 0) EndGroup();
  return std::ssize(std::exchange(buffer_, Sample()).ids);
}

}  // namespace ft::prepare
