#include "worker/model/ops/epilogue.h"

#include "worker/model/ops/joined_rows.h"
#include "worker/model/ops/kernel_call.h"
#include "worker/model/ops/kernel_table.h"
#include "worker/model/ops/saved_context.h"

namespace ft::ops {
namespace {

using kernels::BF16;
using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr double kGateSlope = 1.702;  // Of ClampedGateEpilogue's sigmoid.

// The heads of each row as neighbours; rows may lie at a distance.
Tensor WithDenseRows(const Tensor& x_NHD) {
  const int64_t size = x_NHD.size(2), width = x_NHD.size(1) * size;
  const bool dense = x_NHD.stride(2) == 1 && (x_NHD.size(1) == 1 || x_NHD.stride(1) == size) &&
                     (x_NHD.size(0) <= 1 || x_NHD.stride(0) >= width);
  return dense ? x_NHD : x_NHD.contiguous();
}

// Heads of the same rows, one tensor or two, rotated.
std::vector<Tensor> RotateHeads(const std::vector<Tensor>& heads, const RopeTable& table, float direction) {
  FT_CHECK(heads.size() == 1 ||
           (heads.size() == 2 && heads[0].size(0) == heads[1].size(0) &&
            heads[0].size(2) == heads[1].size(2) && heads[0].scalar_type() == heads[1].scalar_type()));
  std::vector<Tensor> from, to;
  for (const Tensor& x_NHD : heads) {
    from.push_back(WithDenseRows(x_NHD));
    to.push_back(torch::empty(x_NHD.sizes(), x_NHD.options()));
  }
  FT_CHECK(table.position_N.numel() == from[0].size(0));
  WithType(from[0].scalar_type(), [&](auto type) {
    using T = decltype(type);
    const auto part = [&](size_t i) -> kernels::RopeHeads<T> {
      if (i >= from.size()) return {};
      return {from[i].size(1), static_cast<const T*>(from[i].const_data_ptr()), MutableData<T>(to[i]),
              from[i].stride(0)};
    };
    Launch(from[0], &KernelsOf<T>::rope,
           {{from[0].size(2), 2 * table.cosine_LP.size(1), table.neighbours},
            {Data<float>(table.cosine_LP), Data<float>(table.sine_LP), Data<int32_t>(table.position_N),
             direction},
            from[0].size(0),
            part(0),
            part(1)});
  });
  return to;
}

// Each layer's heads, rotated where it asks for that.
std::vector<Tensor> RotateLayers(std::vector<Tensor> heads, const std::vector<HeadsOfLayer>& layers,
                                 const RopeTable& table, float direction) {
  std::vector<Tensor> turning;
  for (size_t i = 0; i < layers.size(); ++i) {
    if (layers[i].rotated) turning.push_back(heads[i]);
  }
  if (turning.empty()) return heads;
  turning = RotateHeads(turning, table, direction);
  auto next = turning.begin();
  for (size_t i = 0; i < layers.size(); ++i) {
    if (layers[i].rotated) heads[i] = *next++;
  }
  return heads;
}

Tensor Gate(const Tensor& gate, const Tensor& up) {
  Tensor y = torch::empty_like(gate);
  Launch(gate, &KernelsOf<float>::swiglu_forward,
         {gate.numel(), Data<float>(gate), Data<float>(up), MutableData<float>(y)});
  return y;
}

// The gate in bfloat16, and in the same pass its inputs, where they are saved.
Tensor RoundedGate(const Tensor& gate, const Tensor& up, int64_t room, std::vector<Tensor>* saved) {
  const int64_t rows = gate.size(0), columns = gate.size(1);
  const auto make = [&](int64_t behind) {
    return RowsWithRoom(rows, columns, behind, gate.options().dtype(at::kBFloat16));
  };
  const Tensor y = make(room);
  kernels::SwigluRounded out{.y = MutableRowData<BF16>(y)};
  if (saved != nullptr) {
    saved->push_back(make(0));
    out.gate = MutableData<BF16>(saved->back());
    saved->push_back(make(0));
    out.up = MutableData<BF16>(saved->back());
  }
  const bool dense = gate.is_contiguous() && up.is_contiguous() && room == 0;
  FT_CHECK(dense || gate.stride(0) == up.stride(0));
  Launch(gate, &KernelTable::swiglu_forward_rounded,
         {dense ? 1 : rows, dense ? gate.numel() : columns, RowData<float>(gate), RowData<float>(up), out,
          gate.stride(0), y.stride(0)});
  return y;
}

// `y_NF` in `type`. What is as wide as that stays where it is, without room.
Tensor Rounded(const Tensor& y_NF, at::ScalarType type, int64_t room) {
  if (room == 0 || y_NF.scalar_type() == type) return y_NF.to(type);
  return RowsWithRoom(y_NF.size(0), y_NF.size(1), room, y_NF.options().dtype(type)).copy_(y_NF);
}

struct RotateFunction : torch::autograd::Function<RotateFunction> {
  static variable_list forward(AutogradContext* context, const Tensor& queries_NHD, const Tensor& keys_NKD,
                               RopeTable table) {
    SaveInContext(context, table);
    return RotateHeads({queries_NHD, keys_NKD}, table, 1);
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    variable_list results = RotateHeads(gradients, SavedInContext<RopeTable>(context), -1);
    results.emplace_back();
    return results;
  }
};

Tensor Activated(const Tensor& x, ActivationEpilogue::Kind kind) {
  if (kind == ActivationEpilogue::Kind::kSilu) return at::silu(x);
  return at::gelu(x, kind == ActivationEpilogue::Kind::kGeluTanh ? "tanh" : "none");
}

Tensor ActivationGradient(const Tensor& dy, const Tensor& x, ActivationEpilogue::Kind kind) {
  if (kind == ActivationEpilogue::Kind::kSilu) return at::silu_backward(dy, x);
  return at::gelu_backward(dy, x, kind == ActivationEpilogue::Kind::kGeluTanh ? "tanh" : "none");
}

// The piece's columns of `whole_NO`, N x groups x length, in place.
Tensor PieceView(const Tensor& whole_NO, const OutputPiece& piece) {
  return whole_NO.as_strided({whole_NO.size(0), piece.groups, piece.length},
                             {whole_NO.size(1), piece.group_stride, 1},
                             whole_NO.storage_offset() + piece.offset);
}

}  // namespace

std::pair<Tensor, Tensor> Rotate(const Tensor& queries_NHD, const Tensor& keys_NKD, const RopeTable& table) {
  const variable_list rotated = RotateFunction::apply(queries_NHD, keys_NKD, table);
  return {rotated[0], rotated[1]};
}

std::vector<Tensor> RotaryEpilogue::Forward(const std::vector<Tensor>& y_NO, at::ScalarType type,
                                            std::vector<Tensor>*) const {
  FT_CHECK(y_NO.size() == layers_.size());
  std::vector<Tensor> heads;
  for (size_t i = 0; i < layers_.size(); ++i) {
    const int64_t rows = y_NO[i].size(0), count = layers_[i].heads;
    heads.push_back(y_NO[i].view({rows, count, y_NO[i].size(1) / count}));
  }
  // Rotated in float32, then rounded: one rounding, where rotating the rounded product would make two.
  std::vector<Tensor> results = RotateLayers(std::move(heads), layers_, table_, 1);
  for (Tensor& result : results) result = result.to(type);
  return results;
}

std::vector<Tensor> RotaryEpilogue::Backward(const std::vector<Tensor>& gradients,
                                             const std::vector<Tensor>&) const {
  std::vector<Tensor> results = RotateLayers(gradients, layers_, table_, -1);
  for (Tensor& dy_NHD : results) dy_NHD = dy_NHD.reshape({dy_NHD.size(0), dy_NHD.size(1) * dy_NHD.size(2)});
  return results;
}

std::vector<Tensor> GateEpilogue::Forward(const std::vector<Tensor>& y_NO, at::ScalarType type,
                                          std::vector<Tensor>* saved) const {
  FT_CHECK(y_NO.size() == 2);
  const Tensor &gate = y_NO[0], &up = y_NO[1];
  if (type == at::kBFloat16) return {RoundedGate(gate, up, room_, saved)};
  // Backward reads rounded inputs, the gate itself is computed from the float32 sums: it is rounded once.
  if (saved != nullptr) saved->insert(saved->end(), {gate.to(type), up.to(type)});
  return {Gate(gate, up).to(type)};
}

std::vector<Tensor> GateEpilogue::Backward(const std::vector<Tensor>& gradients,
                                           const std::vector<Tensor>& saved) const {
  const Tensor &gate = saved[0], &up = saved[1];
  const Tensor dy = gradients[0].contiguous();
  Tensor dgate = torch::empty_like(gate), dup = torch::empty_like(up);
  WithType(gate.scalar_type(), [&](auto type) {
    using T = decltype(type);
    Launch(gate, &KernelsOf<T>::swiglu_backward,
           {gate.numel(),
            {Data<T>(gate), Data<T>(up), Data<T>(dy)},
            MutableData<T>(dgate),
            MutableData<T>(dup)});
  });
  return {dgate, dup};
}

std::vector<Tensor> ActivationEpilogue::Forward(const std::vector<Tensor>& y_NO, at::ScalarType type,
                                                std::vector<Tensor>* saved) const {
  FT_CHECK(y_NO.size() == 1 || y_NO.size() == 2);
  if (saved != nullptr) {
    for (const Tensor& y : y_NO) saved->push_back(y.to(type));
  }
  Tensor result = Activated(y_NO[0], kind_);
  if (y_NO.size() == 2) result.mul_(y_NO[1]);
  return {Rounded(result, type, room_)};
}

std::vector<Tensor> ActivationEpilogue::Backward(const std::vector<Tensor>& gradients,
                                                 const std::vector<Tensor>& saved) const {
  const at::ScalarType type = gradients[0].scalar_type();
  const Tensor dy = gradients[0].to(at::kFloat), x = saved[0].to(at::kFloat);
  if (saved.size() == 1) return {ActivationGradient(dy, x, kind_).to(type)};
  return {ActivationGradient(dy * saved[1].to(at::kFloat), x, kind_).to(type),
          (dy * Activated(x, kind_)).to(type)};
}

std::vector<Tensor> ClampedGateEpilogue::Forward(const std::vector<Tensor>& y_NO, at::ScalarType type,
                                                 std::vector<Tensor>* saved) const {
  FT_CHECK(y_NO.size() == 2);
  if (saved != nullptr) saved->insert(saved->end(), {y_NO[0].to(type), y_NO[1].to(type)});
  const Tensor gate = y_NO[0].clamp_max(most_), up = y_NO[1].clamp(-most_, most_);
  return {Rounded((up + 1) * gate * at::sigmoid(gate * kGateSlope), type, room_)};
}

std::vector<Tensor> ClampedGateEpilogue::Backward(const std::vector<Tensor>& gradients,
                                                  const std::vector<Tensor>& saved) const {
  const at::ScalarType type = gradients[0].scalar_type();
  const Tensor dy = gradients[0].to(at::kFloat), raw_gate = saved[0].to(at::kFloat),
               raw_up = saved[1].to(at::kFloat);
  const Tensor gate = raw_gate.clamp_max(most_), up = raw_up.clamp(-most_, most_);
  const Tensor share = at::sigmoid(gate * kGateSlope);
  const Tensor dgate = dy * (up + 1) * share * (1 + gate * kGateSlope * (1 - share));
  // What was cut has no gradient; the edge itself has, as in LibTorch's clamp.
  return {(dgate * (raw_gate <= most_)).to(type), (dy * gate * share * (raw_up.abs() <= most_)).to(type)};
}

std::vector<Tensor> UnroundedEpilogue::Forward(const std::vector<Tensor>& y_NO, at::ScalarType,
                                               std::vector<Tensor>*) const {
  return y_NO;
}

std::vector<Tensor> UnroundedEpilogue::Backward(const std::vector<Tensor>& gradients,
                                                const std::vector<Tensor>&) const {
  return gradients;
}

std::vector<Tensor> PieceEpilogue::Forward(const std::vector<Tensor>& y_NO, at::ScalarType type,
                                           std::vector<Tensor>* saved) const {
  FT_CHECK(y_NO.size() == widths_.size());
  std::vector<Tensor> parts;
  for (const OutputPiece& piece : pieces_) {
    const Tensor& whole = y_NO[piece.layer];
    parts.push_back(PieceView(whole, piece).contiguous().view({whole.size(0), piece.groups * piece.length}));
  }
  return next_->Forward(parts, type, saved);
}

std::vector<Tensor> PieceEpilogue::Backward(const std::vector<Tensor>& gradients,
                                            const std::vector<Tensor>& saved) const {
  const std::vector<Tensor> parts = next_->Backward(gradients, saved);
  std::vector<Tensor> results;
  for (const int64_t width : widths_) {
    results.push_back(torch::empty({parts[0].size(0), width}, parts[0].options()));
  }
  for (size_t i = 0; i < pieces_.size(); ++i) {
    const OutputPiece& piece = pieces_[i];
    const Tensor to = PieceView(results[piece.layer], piece);
    to.copy_(parts[i].reshape(to.sizes()));
  }
  return results;
}

std::shared_ptr<const Epilogue> OverPieces(std::vector<OutputPiece> pieces, std::vector<int64_t> widths,
                                           std::shared_ptr<const Epilogue> next) {
  bool whole = pieces.size() == widths.size();
  for (size_t i = 0; whole && i < pieces.size(); ++i) {
    whole = pieces[i].layer == i && pieces[i].groups == 1 && pieces[i].length == widths[i];
  }
  if (whole) return next;
  return std::make_shared<PieceEpilogue>(std::move(pieces), std::move(widths), std::move(next));
}

}  // namespace ft::ops
