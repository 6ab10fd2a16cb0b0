#include "worker/model/decoder/projection.h"

#include <utility>

#include "worker/model/ops/joined_rows.h"

namespace ft::model {
namespace {

using torch::Tensor;

std::shared_ptr<const ops::Epilogue> GateOf(const DecoderConfig& config, int64_t room) {
  using Kind = ops::ActivationEpilogue::Kind;
  if (config.gate_clamp > 0) return std::make_shared<ops::ClampedGateEpilogue>(config.gate_clamp, room);
  switch (config.activation) {
    case Activation::kGelu: return std::make_shared<ops::ActivationEpilogue>(Kind::kGelu, room);
    case Activation::kGeluTanh: return std::make_shared<ops::ActivationEpilogue>(Kind::kGeluTanh, room);
    case Activation::kSilu: break;
  }
  if (!config.gated) return std::make_shared<ops::ActivationEpilogue>(Kind::kSilu, room);
  return std::make_shared<ops::GateEpilogue>(room);
}

}  // namespace

ops::LinearLayer LayerOf(const Projection& projection, const ForwardContext& context, int64_t layer) {
  ops::LinearLayer linear;
  linear.weight_OI = projection.weight.get();
  linear.bias_O = projection.bias.get();
  if (projection.adapter.has_value()) {
    linear.lora = &*projection.adapter;
    linear.dropout = {context.dropout, static_cast<uint32_t>(layer), static_cast<uint32_t>(projection.site),
                      projection.adapter->dropout};
  }
  return linear;
}

int64_t RoomBehind(std::span<const Projection> readers, at::ScalarType type, at::Device device) {
  int64_t columns = 0;
  for (const Projection& reader : readers) {
    if (reader.adapter.has_value() && reader.adapter->compute == type)
      columns += reader.adapter->a_RI->shape()[0];
  }
  return readers.empty() ? 0 : ops::RoomFor(readers[0].inputs, columns, device);
}

std::vector<Tensor> ApplyProjections(const std::vector<Projection>& projections, const Tensor& x_NI,
                                     const ForwardContext& context, int64_t layer,
                                     std::initializer_list<Use> uses,
                                     std::shared_ptr<const ops::Epilogue> epilogue) {
  std::vector<ops::LinearLayer> layers;
  std::vector<int64_t> widths;
  for (const Projection& projection : projections) {
    layers.push_back(LayerOf(projection, context, layer));
    widths.push_back(projection.outputs);
  }
  std::vector<ops::OutputPiece> pieces;
  for (const Use use : uses) {
    for (size_t i = 0; i < projections.size(); ++i) {
      for (const Piece& piece : projections[i].pieces) {
        if (piece.use == use)
          pieces.push_back({i, piece.offset, piece.group_stride, piece.groups, piece.length});
      }
    }
  }
  return ops::Linears(x_NI, layers,
                      ops::OverPieces(std::move(pieces), std::move(widths), std::move(epilogue)),
                      context.saved_dtype);
}

Tensor GateAndUp(const DecoderConfig& config, const std::vector<Projection>& inputs, const Projection& output,
                 const Tensor& x_NC, const ForwardContext& context, int64_t layer) {
  const auto gate = GateOf(config, RoomBehind({&output, 1}, context.compute, x_NC.device()));
  if (!config.gated) return ApplyProjections(inputs, x_NC, context, layer, {Use::kUp}, gate)[0];
  return ApplyProjections(inputs, x_NC, context, layer, {Use::kGate, Use::kUp}, gate)[0];
}

Tensor Unrounded(const Projection& projection, const Tensor& x_NI, const ForwardContext& context,
                 int64_t layer, at::ScalarType saved_dtype) {
  return ops::Linears(x_NI, {LayerOf(projection, context, layer)}, std::make_shared<ops::UnroundedEpilogue>(),
                      saved_dtype)[0];
}

}  // namespace ft::model
