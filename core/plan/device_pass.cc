// Follows worker/model/run/block_runner.cc and the operations of worker/model/ops that it calls, function by function: a Tensor here lives
// from where the code there makes it to where it is dropped. Legend: N rows, C hidden, I inputs and O outputs of a layer, R adapter rank.
#include "core/plan/device_pass.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>

namespace ft::plan {
namespace {

constexpr double kChunkElements = 1 << 24;  // Logits computed at a time: ops/loss_head.cc.
constexpr double kFloat = 4;
constexpr double kInnerPadding = 8;  // Of joined products, in values: ops/joined_gemm.cc.
constexpr double kFlashPadding = 128, kLsePadding = 32;

double Sum(const LayerGroup& group, double LayerSizes::*member) {
  double sum = 0;
  for (const LayerSizes& layer : group) sum += layer.*member;
  return sum;
}

double Padded(double size) { return std::ceil(size / kInnerPadding) * kInnerPadding; }

// What a sub-layer's graph holds for backward.
struct Graph {
  Tensor normed;    // The normed rows, where a product of backward reads them, and the norm's scales.
  Tensor downs;     // Scaled down-projections of the layers that read them.
  Tensor middle;    // Queries, keys and values; or gate and up.
  Tensor attended;  // Attention's result with its sums of exponentials; or the gate's result.
  Tensor out_down;
};

enum class SubLayer { kAttention, kMlp };

class Pass {
 public:
  Pass(MemoryMeter& meter, const PassSizes& sizes) : meter_(meter), s_(sizes), n_(sizes.rows) {}
  void Run();

 private:
  Tensor Make(double bytes, Held kind = Held::kWork) { return {meter_, kind, bytes}; }
  // Held for a moment beside what is there.
  void Touch(double bytes, Held kind = Held::kWork) { Make(bytes, kind); }
  Tensor Stream() { return Make(n_ * s_.hidden * kFloat); }

  const LayerGroup& In(SubLayer which) const {
    return which == SubLayer::kAttention ? s_.attention_in : s_.mlp_in;
  }
  const LayerGroup& Out(SubLayer which) const {
    return which == SubLayer::kAttention ? s_.attention_out : s_.mlp_out;
  }
  double Queries() const { return s_.heads * s_.head_size; }
  double Keys() const { return s_.key_heads * s_.head_size; }
  bool Reads(const LayerGroup& group) const { return s_.full || Sum(group, &LayerSizes::rank) > 0; }
  // Bytes of what is made of a down-projection.
  double Downs(const LayerGroup& group) const { return n_ * Sum(group, &LayerSizes::rank) * s_.adapter; }
  double LseBytes() const;
  double MiddleBytes(SubLayer which) const;
  double AttendedBytes(SubLayer which) const;
  Tensor Attended(SubLayer which, Held kind) { return Make(AttendedBytes(which), kind); }
  Graph GraphOf(SubLayer which, Held kind, bool with_attended);

  // Whether weight and adapter are one product.
  bool Joins(const LayerSizes& layer) const { return layer.rank > 0 && !HasOtherType(); }
  // Of adapters beside weights.
  bool HasOtherType() const { return s_.adapter != s_.compute; }
  // Whether the layer's product reads a copy of its matrix in any case.
  bool Copies(const LayerSizes& layer) const { return layer.rank > 0 ? !HasOtherType() : s_.quantised > 0; }
  bool Shares(const LayerGroup& group) const;
  double JoinedWidth(const LayerGroup& group) const;
  double RoomyWidth(const LayerGroup& readers) const;
  double NormedWidth(SubLayer which) const;
  double GatedWidth() const;
  // Whether a norm writes the rows that the layers read with room for their adapters. Those of experts are gathered.
  bool NormLeavesRoom(SubLayer which) const { return which == SubLayer::kAttention || s_.copies == 0; }
  bool GateLeavesRoom() const { return s_.compute < kFloat; }
  bool InputGradientJoins(const LayerGroup& group) const;
  double InputGradientInner(const LayerGroup& group) const;
  double ArenaOf(const LayerGroup& group) const;
  double ArenaBytes() const;

  void Weight(const LayerSizes& layer);
  void AdapterInputs(const LayerGroup& group, std::vector<Tensor>& made);
  void DownProjections(const LayerGroup& group);
  std::vector<Tensor> Outputs(const LayerGroup& group, bool has_room);
  void Forward(SubLayer which, bool computed, bool with_graph);
  void ForwardMiddle(SubLayer which, bool with_graph);
  Tensor DownGradients(const LayerGroup& group);
  Tensor InputGradient(const LayerGroup& group);
  std::vector<Tensor> HandleGradients(const LayerGroup& group);
  Tensor AttentionBackward(Graph& graph, Tensor& dout);
  void Backward(SubLayer which, Graph graph, Tensor& dx);
  Tensor Head();

  MemoryMeter& meter_;
  const PassSizes& s_;
  const double n_;
};

// Sums of exponentials, float32: of the efficient kernels padded, a row a segment.
double Pass::LseBytes() const {
  if (s_.compute < kFloat) return s_.heads * n_ * kFloat;
  return s_.segments * s_.heads * std::ceil(s_.longest / kLsePadding) * kLsePadding * kFloat;
}

double Pass::MiddleBytes(SubLayer which) const {
  const double width =
      which == SubLayer::kAttention ? Queries() + 2 * Keys() : Sum(s_.mlp_in, &LayerSizes::outputs);
  return n_ * width * s_.compute;
}

double Pass::AttendedBytes(SubLayer which) const {
  if (which == SubLayer::kAttention) return n_ * Queries() * s_.compute + LseBytes();
  return Reads(s_.mlp_out) ? n_ * GatedWidth() * s_.compute : 0;
}

Graph Pass::GraphOf(SubLayer which, Held kind, bool with_attended) {
  const LayerGroup& in = In(which);
  const double copies = which == SubLayer::kMlp ? 2 * s_.copies * s_.hidden * n_ * s_.compute : 0;
  return {.normed = Make(n_ * kFloat + (Reads(in) ? n_ * NormedWidth(which) * s_.compute : 0) + copies, kind),
          .downs = Make(Downs(in), kind),
          .middle = Make(MiddleBytes(which), kind),
          .attended = with_attended ? Attended(which, kind) : Tensor(),
          .out_down = Make(Downs(Out(which)), kind)};
}

// Whether the layers are one product, so that their results lie side by side.
bool Pass::Shares(const LayerGroup& group) const {
  return s_.compute < kFloat && std::count_if(group.begin(), group.end(),
                                              [&](const LayerSizes& layer) { return Copies(layer); }) > 1;
}

// Of the widest product [x | m ..].
double Pass::JoinedWidth(const LayerGroup& group) const {
  double width = 0;
  for (const LayerSizes& layer : group) {
    if (Joins(layer)) width = std::max(width, Padded(layer.inputs + layer.rank));
  }
  return width > 0 && Shares(group) ? RoomyWidth(group) : width;
}

// Of rows that are made with room for the adapters of the layers that read them.
double Pass::RoomyWidth(const LayerGroup& readers) const {
  const double inputs = readers.front().inputs, ranks = HasOtherType() ? 0 : Sum(readers, &LayerSizes::rank);
  return ranks > 0 ? Padded(inputs + ranks) : inputs;
}

double Pass::NormedWidth(SubLayer which) const {
  return NormLeavesRoom(which) ? RoomyWidth(In(which)) : s_.hidden;
}

double Pass::GatedWidth() const {
  return GateLeavesRoom() ? RoomyWidth(s_.mlp_out) : Sum(s_.mlp_out, &LayerSizes::inputs);
}

// The terms of an input's gradient: weights, and adapters of the same type whose inputs are not dropped.
double Pass::InputGradientInner(const LayerGroup& group) const {
  double inner = Sum(group, &LayerSizes::outputs);
  if (!s_.dropout && !HasOtherType()) inner += Sum(group, &LayerSizes::rank);
  return inner;
}

// Trained weights alone are not joined.
bool Pass::InputGradientJoins(const LayerGroup& group) const {
  return !s_.full && (group.size() > 1 || InputGradientInner(group) > group.front().outputs);
}

// The largest matrix of a product with these layers that does not lie in memory as it is multiplied, in values.
double Pass::ArenaOf(const LayerGroup& group) const {
  const double inputs = group.front().inputs, inner = InputGradientInner(group);
  double most = 0, shared = 0;
  for (const LayerSizes& layer : group) {
    if (Joins(layer) || s_.quantised > 0)
      most = std::max(most, layer.outputs * Padded(inputs + (Joins(layer) ? layer.rank : 0)));
    if (Copies(layer)) shared += layer.outputs;
  }
  if (Shares(group)) most = std::max(most, shared * Padded(RoomyWidth(group)));
  if (InputGradientJoins(group)) return std::max(most, Padded(inner) * Padded(inputs));
  return s_.quantised > 0 ? std::max(most, inner * Padded(inputs)) : most;
}

// WeightArena: it has grown to the largest product when a step has been taken. Experts are multiplied one by one.
double Pass::ArenaBytes() const {
  LayerGroup mlp_in = s_.mlp_in, mlp_out = s_.mlp_out;
  const double experts = std::max(1.0, s_.copies);
  for (LayerSizes& layer : mlp_in) layer.outputs /= experts;
  for (LayerSizes& layer : mlp_out) layer.inputs /= experts;
  double most = 0;
  for (const LayerGroup& group : {s_.attention_in, s_.attention_out, mlp_in, mlp_out})
    most = std::max(most, ArenaOf(group));
  return most * s_.compute;
}

// What writing a frozen weight to the arena takes beside it: those of 8 bits are multiplied by their rows' scales in float32.
void Pass::Weight(const LayerSizes& layer) {
  if (s_.quantised == 8) Touch(layer.inputs * layer.outputs * kFloat);
}

void Pass::AdapterInputs(const LayerGroup& group, std::vector<Tensor>& made) {
  for (const LayerSizes& layer : group) {
    if (layer.rank == 0 || !(s_.dropout || HasOtherType())) continue;
    const double bytes = n_ * layer.inputs * s_.adapter;
    const Tensor converted = s_.dropout && HasOtherType() ? Make(bytes) : Tensor();
    made.push_back(Make(bytes));
  }
}

// LoraDownProjections, but for its results, which are float32 one after another before they are rounded.
void Pass::DownProjections(const LayerGroup& group) {
  std::vector<Tensor> inputs;
  AdapterInputs(group, inputs);
  if (s_.adapter == kFloat) return;
  if (!s_.dropout) return Touch(n_ * Sum(group, &LayerSizes::rank) * kFloat);  // One product.
  for (const LayerSizes& layer : group) Touch(n_ * layer.rank * kFloat);
}

// The float32 outputs of the layers, which wait for the epilogue. Layers share the copy of their rows [x | m], where those have no room.
std::vector<Tensor> Pass::Outputs(const LayerGroup& group, bool has_room) {
  const Tensor joined = Make(has_room ? 0 : n_ * JoinedWidth(group) * s_.compute);
  std::vector<Tensor> outputs;
  for (const LayerSizes& layer : group) {
    Weight(layer);
    Tensor total = Make(n_ * layer.outputs * kFloat);
    if (layer.rank > 0 && !Joins(layer)) {  // addmm makes a new one.
      Tensor sum = Make(n_ * layer.outputs * kFloat);
      total = std::move(sum);
    }
    outputs.push_back(std::move(total));
  }
  return outputs;
}

// Epilogue::Forward, beside the outputs that it reads.
void Pass::ForwardMiddle(SubLayer which, bool with_graph) {
  if (which == SubLayer::kMlp) {
    const double result = n_ * GatedWidth() * s_.compute;
    Touch(result + (with_graph && s_.compute < kFloat ? MiddleBytes(which) : 0));
    return;
  }
  // Queries and keys are rotated in float32, then rounded.
  std::vector<Tensor> made;
  for (const double width : {Queries(), Keys()}) {
    Tensor turned = Make(n_ * width * kFloat);
    if (s_.compute < kFloat) turned = Make(n_ * width * s_.compute);
    made.push_back(std::move(turned));
  }
  if (s_.compute < kFloat) made.push_back(Make(n_ * Keys() * s_.compute));
}

// What stands between a sub-layer's input and its graph; the graph itself is the caller's.
void Pass::Forward(SubLayer which, bool computed, bool with_graph) {
  const LayerGroup &in = In(which), &out = Out(which);
  const Tensor normed = Make(n_ * kFloat + n_ * NormedWidth(which) * s_.compute);
  const Tensor downs = Make(Downs(in));
  DownProjections(in);
  {
    const std::vector<Tensor> outputs = Outputs(in, NormLeavesRoom(which));
    ForwardMiddle(which, with_graph);
  }
  const bool has_middle = with_graph || which == SubLayer::kAttention;
  const Tensor middle = has_middle ? Make(MiddleBytes(which)) : Tensor();
  if (which == SubLayer::kAttention && s_.compute == kFloat && s_.heads != s_.key_heads) {
    Touch(2 * n_ * Queries() * kFloat, Held::kAttention);  // The efficient kernels want a key head a head.
  }
  const bool is_mlp = which == SubLayer::kMlp;
  const Tensor attended = Make(n_ * (is_mlp ? GatedWidth() : Sum(out, &LayerSizes::inputs)) * s_.compute);
  DownProjections(out);
  if (computed) Outputs(out, is_mlp && GateLeavesRoom());
}

// Gradients::DownProjectionGradients.
Tensor Pass::DownGradients(const LayerGroup& group) {
  std::vector<Tensor> converted;
  for (const LayerSizes& layer : group) {
    if (layer.rank > 0 && HasOtherType()) converted.push_back(Make(n_ * layer.outputs * s_.adapter));
  }
  return Make(Downs(group));
}

// Gradients::InputGradient: of dropped inputs a float32 sum apart, then the products with the weights.
Tensor Pass::InputGradient(const LayerGroup& group) {
  const double inputs = group.front().inputs, bytes = n_ * inputs * kFloat;
  Tensor start, total;
  bool has_start = false;
  const bool joins = InputGradientJoins(group);
  size_t products = joins ? 1 : group.size();
  for (const LayerSizes& layer : group) {
    if (layer.rank == 0) continue;
    if (!s_.dropout) {
      products += HasOtherType() ? 1 : 0;
      continue;
    }
    const Tensor product = Make(bytes);
    Tensor dropped = Make(bytes);
    if (!std::exchange(has_start, true)) start = std::move(dropped);
  }
  const Tensor joined = joins ? Make(n_ * Padded(InputGradientInner(group)) * s_.compute) : Tensor();
  for (const LayerSizes& layer : group) Weight(layer);
  // One product alone is rounded as it is made.
  if (products == 1 && !has_start) return Make(n_ * inputs * s_.compute);
  for (size_t i = 0; i < products; ++i) {
    Tensor sum = Make(bytes);
    total = std::move(sum);
  }
  if (s_.compute == kFloat) return total;
  return Make(n_ * inputs * s_.compute);
}

std::vector<Tensor> Pass::HandleGradients(const LayerGroup& group) {
  std::vector<Tensor> dropped, gradients, transposed;
  if (s_.dropout) AdapterInputs(group, dropped);
  for (const LayerSizes& layer : group) {
    if (s_.full) gradients.push_back(Make(layer.inputs * layer.outputs * kFloat));
    if (layer.rank == 0) continue;
    {
      const Tensor converted = HasOtherType() && !s_.dropout ? Make(n_ * layer.inputs * kFloat) : Tensor();
      gradients.push_back(Make(layer.rank * layer.inputs * kFloat));
    }
    const Tensor converted = HasOtherType() ? Make(n_ * layer.outputs * kFloat) : Tensor();
    gradients.push_back(Make(layer.rank * layer.outputs * kFloat));
  }
  for (const LayerSizes& layer : group) transposed.push_back(Make(layer.rank * layer.outputs * kFloat));
  return gradients;
}

// The gradients of queries, keys and values, before rotation.
Tensor Pass::AttentionBackward(Graph& graph, Tensor& dout) {
  const double q = n_ * Queries(), k = n_ * Keys();
  const bool grouped = s_.heads != s_.key_heads;
  Tensor made;
  if (s_.compute < kFloat) {
    made = Make((q + 2 * k) * s_.compute);
    // Deterministic kernels add the parts of dq, a copy for each of the blocks that share a head's columns.
    const double splits = std::ceil(s_.multiprocessors / (s_.segments * s_.heads));
    const double padded = n_ + kFlashPadding * s_.segments;
    const double multiple = s_.head_size <= 128 ? 32 : 64;
    const double size = std::ceil(s_.head_size / multiple) * multiple;
    Touch(s_.heads * padded * kFloat + splits * padded * s_.heads * size * kFloat +
              (grouped ? 2 * q * s_.compute : 0),
          Held::kAttention);
  } else {
    // The efficient kernels know no groups.
    const Tensor wide = Make(3 * q * kFloat, Held::kAttention);
    Touch(s_.heads * n_ * kFloat + (grouped ? 2 * q * kFloat : 0), Held::kAttention);
    if (grouped) Touch(2 * k * kFloat);
  }
  if (s_.compute == kFloat) made = Make((q + 2 * k) * kFloat);
  dout.Free();
  graph.middle.Free();
  graph.attended.Free();
  return made;
}

// `dx` is the gradient of the sub-layer's result, and then of its input.
void Pass::Backward(SubLayer which, Graph graph, Tensor& dx) {
  const LayerGroup &in = In(which), &out = Out(which);
  std::vector<Tensor> handles;
  const auto keep = [&](std::vector<Tensor> more) {
    for (Tensor& tensor : more) handles.push_back(std::move(tensor));
  };
  Tensor dinner;
  {
    const Tensor dy = s_.compute < kFloat ? Make(n_ * s_.hidden * s_.compute) : Tensor();
    const Tensor ddowns = DownGradients(out);
    dinner = InputGradient(out);
    keep(HandleGradients(out));
  }
  graph.out_down.Free();
  if (which == SubLayer::kMlp) graph.attended.Free();
  // Autograd holds what it gave a function until that returns: so the gate's gradient stays, and queries and keys before they are turned.
  Tensor dmiddle;
  if (which == SubLayer::kMlp) {
    dmiddle = Make(MiddleBytes(which));
  } else {
    dinner = AttentionBackward(graph, dinner);
    dmiddle = Make(n_ * (Queries() + Keys()) * s_.compute);
  }
  Tensor dnormed;
  {
    const Tensor ddowns = DownGradients(in);
    dnormed = InputGradient(in);
    keep(HandleGradients(in));
  }
  dinner.Free();
  dmiddle.Free();
  graph = Graph();
  Tensor dinput = Stream();
  dnormed.Free();
  Tensor sum = Stream();
  dinput.Free();
  dx = std::move(sum);
}

// Final norm, logits by chunks, loss; returns the gradient of the last block's result.
Tensor Pass::Head() {
  const double width = n_ * s_.hidden;
  const Tensor rows = Stream();
  const Tensor normed = Make(n_ * kFloat + width * s_.compute);
  Tensor gradient = Make(width * s_.compute);
  const double table = s_.vocabulary * s_.hidden * kFloat;
  const Tensor dhead = s_.full ? Make(table, Held::kLogits) : Tensor();
  const double chunk = std::min(n_, std::max(1.0, std::floor(kChunkElements / s_.vocabulary)));
  {
    const Tensor logits = Make(chunk * s_.vocabulary * s_.compute, Held::kLogits);
    Touch(chunk * s_.hidden * s_.compute);
    if (s_.full) {
      const Tensor transposed = Make(chunk * s_.vocabulary * s_.compute, Held::kLogits);
      Touch(table, Held::kLogits);
    }
  }
  const Tensor drows = Stream();
  return Stream();
}

void Pass::Run() {
  const auto layers = static_cast<int64_t>(s_.layers);
  const Tensor arena = Make(ArenaBytes(), Held::kWeight);
  // Ids, positions, dropout's keys, which angles a row has; rotary angles, which stay.
  const Tensor of_pass = Make(n_ * 28 + s_.longest * s_.head_size * kFloat);
  std::vector<Tensor> inputs, saved(static_cast<size_t>(layers));
  std::vector<Graph> graphs(static_cast<size_t>(2 * layers));
  const auto is_recomputed = [&](int64_t i) { return i + 1 < 2 * layers && i / 2 < s_.recomputed; };
  const auto which = [](int64_t i) { return i % 2 == 0 ? SubLayer::kAttention : SubLayer::kMlp; };
  for (int64_t i = 0; i < 2 * layers; ++i) {
    inputs.push_back(Make(n_ * s_.hidden * kFloat, Held::kKept));
    Forward(which(i), /*computed=*/true, /*with_graph=*/!is_recomputed(i));
    if (!is_recomputed(i)) {
      graphs[static_cast<size_t>(i)] = GraphOf(which(i), Held::kKept, true);
    } else if (i % 2 == 0) {
      saved[static_cast<size_t>(i / 2)] = Attended(SubLayer::kAttention, Held::kKept);
    }
  }
  const Tensor result = Make(n_ * s_.hidden * kFloat, Held::kKept);
  const Tensor from_head = Head();  // The runner's caller holds it to the end.
  Tensor dx, output;
  for (int64_t i = 2 * layers - 1; i >= 0; --i) {
    if (is_recomputed(i)) output.Free();  // Else the graph ends in it.
    Graph graph = std::move(graphs[static_cast<size_t>(i)]);
    if (is_recomputed(i)) {
      Forward(which(i), /*computed=*/false, /*with_graph=*/true);
      graph = GraphOf(which(i), Held::kWork, /*with_attended=*/which(i) == SubLayer::kMlp);
      graph.attended = i % 2 == 0 ? std::move(saved[static_cast<size_t>(i / 2)]) : std::move(graph.attended);
    }
    Backward(which(i), std::move(graph), dx);
    output = std::move(inputs.back());
    inputs.pop_back();
  }
  if (s_.full) Touch(2 * s_.vocabulary * s_.hidden * kFloat);
}

// Where a projection stands in a block, by the names that families give it.
LayerGroup& GroupOf(PassSizes& sizes, const Projection& projection, double intermediate, double hidden) {
  const std::string_view name = projection.name;
  const auto is = [&](std::initializer_list<std::string_view> names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  const auto inputs = static_cast<double>(projection.inputs),
             outputs = static_cast<double>(projection.outputs);
  if (is({"down_proj", "w2", "dense_4h_to_h"}) || (is({"c_proj"}) && inputs == intermediate))
    return sizes.mlp_out;
  if (is({"gate_proj", "up_proj", "gate_up_proj", "w1", "w3", "dense_h_to_4h", "c_fc"}) ||
      (inputs == hidden && (outputs == intermediate || outputs == 2 * intermediate) &&
       !is({"q_proj", "k_proj", "v_proj"}))) {
    return sizes.mlp_in;
  }
  return is({"o_proj", "wo", "dense", "c_proj", "out_proj"}) ? sizes.attention_out : sizes.attention_in;
}

void TakeLayers(PassSizes& sizes, const ModelShape& shape, const recipe::MethodSpec& method) {
  const auto number = [](int64_t value) { return static_cast<double>(value); };
  const double width = number(shape.intermediate);
  const auto take = [&](const std::vector<Projection>& projections) {
    for (const Projection& p : projections) {
      GroupOf(sizes, p, width, sizes.hidden)
          .push_back({number(p.inputs), number(p.outputs), number(AdapterRank(method, p.name))});
    }
  };
  take(Projections(shape));
  const auto rank = [](const LayerGroup& group) {
    double most = 0;
    for (const LayerSizes& layer : group) most = std::max(most, layer.rank);
    return most;
  };
  if (shape.chosen_experts > 0) {  // As one MLP of the width that a row passes.
    sizes.mlp_in.assign(2, {sizes.hidden, width, rank(sizes.mlp_in)});
    sizes.mlp_out.assign(1, {width, sizes.hidden, rank(sizes.mlp_out)});
  }
  // Of a family whose layers have other names: as if they were Llama's.
  const bool known = !sizes.attention_in.empty() && !sizes.attention_out.empty() && !sizes.mlp_in.empty() &&
                     !sizes.mlp_out.empty();
  if (known) return;
  for (LayerGroup* group : {&sizes.attention_in, &sizes.attention_out, &sizes.mlp_in, &sizes.mlp_out})
    group->clear();
  ModelShape llama = shape;
  llama.projections.clear();
  take(Projections(llama));
}

}  // namespace

PassSizes PassSizesOf(const ModelShape& shape, const recipe::JobSpec& spec, bool bf16, const Batch& batch,
                      const Card& card) {
  const recipe::MethodSpec& method = spec.method;
  const auto number = [](int64_t value) { return static_cast<double>(value); };
  PassSizes sizes{.rows = number(batch.rows),
                  .hidden = number(shape.hidden),
                  .layers = number(shape.layers),
                  .vocabulary = number(shape.vocabulary),
                  .heads = number(shape.heads),
                  .key_heads = number(shape.key_heads),
                  .head_size = number((shape.head_size + 7) / 8 * 8),  // As fused attention pads it.
                  .segments = number(batch.segments),
                  .longest = number(batch.longest),
                  .copies = number(shape.chosen_experts),
                  .multiprocessors = number(card.multiprocessors),
                  .compute = bf16 ? 2.0 : 4.0,
                  .adapter = bf16 && method.adapter_compute != "fp32" ? 2.0 : 4.0,
                  .quantised = method.kind == "qlora"       ? 4.0
                               : method.kind == "int8_lora" ? 8.0
                                                            : 0.0,
                  .full = method.kind == "full",
                  .dropout = method.kind != "full" && method.dropout > 0,
                  .recomputed = CheckpointedBlocks(shape, spec.train)};
  TakeLayers(sizes, shape, method);
  return sizes;
}

void GoThroughPass(MemoryMeter& meter, const PassSizes& sizes) { Pass(meter, sizes).Run(); }

}  // namespace ft::plan
