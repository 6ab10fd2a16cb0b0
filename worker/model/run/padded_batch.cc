#include "worker/model/run/padded_batch.h"

namespace ft::run {
namespace {

constexpr int64_t kIgnoreIndex = -100;

Status CheckShapes(const PaddedBatch& batch) {
  const auto int64_matrix = [](const torch::Tensor& t) {
    return t.defined() && t.dim() == 2 && t.scalar_type() == torch::kInt64 && t.is_contiguous();
  };
  if (!int64_matrix(batch.ids_BT) || batch.ids_BT.size(0) != static_cast<int64_t>(batch.lengths.size())) {
    return absl::InvalidArgumentError("batch: ids must be a matrix of int64 with one length a row");
  }
  if (batch.labels_BT.defined() &&
      (!int64_matrix(batch.labels_BT) || batch.labels_BT.sizes() != batch.ids_BT.sizes())) {
    return absl::InvalidArgumentError("batch: labels must have the shape of the ids");
  }
  if (!batch.sample_keys.empty() && batch.sample_keys.size() != batch.lengths.size()) {
    return absl::InvalidArgumentError("batch: one sample key a row");
  }
  for (int64_t length : batch.lengths) {
    if (length < 1 || length > batch.ids_BT.size(1)) {
      return absl::InvalidArgumentError(StrCat("batch: length ", length, " of ", batch.ids_BT.size(1)));
    }
  }
  return absl::OkStatus();
}

Status CheckToken(const char* what, int64_t token, int64_t vocabulary) {
  if (token >= 0 && token < vocabulary) return absl::OkStatus();
  return absl::InvalidArgumentError(StrCat(what, " ", token, " is outside the model's vocabulary of ",
                                           vocabulary, ": another model's tokenizer?"));
}

}  // namespace

StatusOr<PackedRows> Pack(const PaddedBatch& batch, int64_t vocabulary) {
  RETURN_IF_ERROR(CheckShapes(batch));
  PackedRows packed{.seed = batch.seed, .step = batch.step};
  const int64_t padded_length = batch.ids_BT.size(1);
  std::vector<int64_t> ids;
  for (size_t row = 0; row < batch.lengths.size(); ++row) {
    const int64_t length = batch.lengths[row], first = static_cast<int64_t>(ids.size());
    const int64_t* row_ids =
        batch.ids_BT.const_data_ptr<int64_t>() + static_cast<int64_t>(row) * padded_length;
    const int64_t* labels = batch.labels_BT.defined() ? batch.labels_BT.const_data_ptr<int64_t>() +
                                                            static_cast<int64_t>(row) * padded_length
                                                      : nullptr;
    packed.segments.push_back({first, length, first, length});
    packed.rope_lengths.push_back(padded_length);
    for (int64_t t = 0; t < length; ++t) {
      RETURN_IF_ERROR(CheckToken("token id", row_ids[t], vocabulary));
      ids.push_back(row_ids[t]);
      packed.position_N.push_back(t);
      packed.sample_N.push_back(batch.sample_keys.empty() ? row : batch.sample_keys[row]);
      if (labels == nullptr || t + 1 == length || labels[t + 1] == kIgnoreIndex) continue;
      RETURN_IF_ERROR(CheckToken("label", labels[t + 1], vocabulary));
      packed.supervised_rows.push_back(first + t);
      packed.targets.push_back(labels[t + 1]);
    }
  }
  packed.ids_N = torch::tensor(ids, torch::kInt64);
  return packed;
}

}  // namespace ft::run
