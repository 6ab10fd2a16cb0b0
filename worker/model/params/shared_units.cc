#include "worker/model/params/shared_units.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "core/base/check.h"
#include "core/base/str_cat.h"

namespace ft::params {
namespace {

at::ScalarType TypeOf(const plan::CopyRun& run, at::ScalarType narrow) {
  return run.width() == 4 ? at::kFloat : narrow;
}

int64_t Aligned(int64_t bytes) {
  return (bytes + plan::kByteGranule - 1) / plan::kByteGranule * plan::kByteGranule;
}

}  // namespace

SharedUnits::SharedUnits(const WeightDivision& division, ParameterStore& store, int blocks)
    : division_(division), store_(store), slices_(store.table(), division.slices), blocks_(blocks) {
  if (store.has_whole_values()) return;
  const plan::RankOf who = division.ranks->who();
  for (int unit = 0; unit < store.table().units(); ++unit) {
    std::vector<Copies>& copies = units_[unit].copies;
    for (plan::CopyRun& run : plan::CopyRunsOf(store.table(), unit)) {
      auto buffer = std::make_unique<UnitBuffer>(run.elements() * run.width(), store.device());
      const at::ScalarType type = TypeOf(run, store.copy_type());
      for (const plan::CopyRun::Copied& copied : run.tensors()) {
        store.ReadFrom(copied.tensor, buffer->View(copied.begin * run.width(), type,
                                                   store.range(copied.tensor).tensor.shape));
      }
      std::vector<size_t> counts = run.Counts(slices_, who.ranks);
      std::vector<plan::Extent> owned = run.Owned(slices_, who);
      if (!division.units) Take(*buffer);
      // Nobody writes padding.
      if (keeps_own_copies()) torch::Tensor(buffer->bytes()).zero_();
      copies.push_back({std::move(run), std::move(counts), std::move(owned), std::move(buffer)});
    }
  }
  if (keeps_own_copies()) store.KeepCopies();
}

void SharedUnits::Divide(int unit, const std::vector<ops::SlotPtr>& slots) {
  FT_CHECK(brings_frozen());
  std::vector<torch::Tensor> tensors;
  int64_t bytes = 0;
  for (const ops::SlotPtr& slot : slots) {
    for (const torch::Tensor& tensor : slot->Held()) {
      tensors.push_back(tensor);
      bytes += Aligned(static_cast<int64_t>(tensor.nbytes()));
    }
  }
  if (bytes == 0) return;
  Unit& of = units_[unit];
  FT_CHECK(of.frozen == nullptr) << "unit " << unit << " is divided already";
  of.frozen = std::make_unique<UnitBuffer>(bytes, store_.device());
  Take(*of.frozen);
  int64_t offset = 0;
  for (const torch::Tensor& tensor : tensors) {
    const torch::Tensor view = of.frozen->View(offset, tensor.scalar_type(), tensor.sizes());
    view.copy_(tensor);
    // What the slot holds is this tensor, wherever its memory is.
    torch::Tensor(tensor).set_data(view);
    offset += Aligned(static_cast<int64_t>(view.nbytes()));
  }
  Keep(unit, of);
  Give(*of.frozen);
}

// What this rank has of the frozen bytes, out of the buffer that has all of them.
void SharedUnits::Keep(int number, Unit& unit) {
  const int64_t bytes = unit.frozen->size();
  for (int rank = 0; rank < who().ranks; ++rank) {
    const plan::Extent part = plan::OwnedBytes(bytes, division_.slices, {rank, who().ranks});
    unit.frozen_counts.push_back(static_cast<size_t>(part.end - part.begin));
  }
  unit.own = plan::OwnedBytes(bytes, division_.slices, who());
  const int64_t own = unit.own.end - unit.own.begin;
  const torch::Tensor kept = unit.frozen->bytes().narrow(0, unit.own.begin, own);
  if (division_.tier == nullptr) {
    unit.own_frozen = kept.clone();
    return;
  }
  unit.resting = division_.tier->Take(StrCat("the frozen part of ", NameOf(number)), own);
  unit.resting->Write(0, kept);
}

void SharedUnits::Acquire(int unit) {
  if (!brings_frozen()) return;
  const plan::UnitWindow::Change change = window_.Use(unit);
  if (change.goes >= 0) Free(units_[change.goes]);
  if (change.comes) Gather(unit, units_[unit]);
}

void SharedUnits::Release(int) {}  // It stays until two others were used.

void SharedUnits::TrainedChanged() {
  if (division_.units) {
    for (const int unit : window_.Clear()) Free(units_[unit]);
    return;
  }
  for (auto& [number, unit] : units_) {
    for (Copies& copies : unit.copies) GatherCopies(number, copies);
  }
}

std::string SharedUnits::NameOf(int unit) const {
  if (unit == 0) return "embedding";
  return unit <= blocks_ ? StrCat("block.", unit - 1) : "head";
}

void SharedUnits::Gather(int number, Unit& unit) {
  for (Copies& copies : unit.copies) {
    if (!division_.units) break;  // They are here all the time.
    Take(*copies.buffer);
    GatherCopies(number, copies);
  }
  if (unit.frozen != nullptr) GatherFrozen(number, unit);
}

void SharedUnits::GatherFrozen(int number, Unit& unit) {
  Take(*unit.frozen);
  torch::Tensor own = unit.own_frozen;
  if (unit.resting != nullptr) {
    own = unit.frozen->bytes().narrow(0, unit.own.begin, unit.own.end - unit.own.begin);
    unit.resting->Read(0, own);
  }
  if (division_.units) division_.ranks->Gather(NameOf(number), own, unit.frozen_counts, unit.frozen->bytes());
}

// A copy is its owner's float32 value, rounded once, here or as the value was written. It is made in its place among the others: rounded
// weights apart from it would be what a rank has most memory for at the end of a step.
void SharedUnits::GatherCopies(int number, Copies& copies) {
  const torch::NoGradGuard no_grad;
  const torch::Tensor all =
      copies.buffer->View(0, TypeOf(copies.run, store_.copy_type()), {copies.run.elements()});
  const auto count = copies.counts.begin() + division_.ranks->who().rank;
  const size_t before = std::accumulate(copies.counts.begin(), count, size_t{0});
  const torch::Tensor own = all.narrow(0, static_cast<int64_t>(before), static_cast<int64_t>(*count));
  if (!keeps_own_copies()) RoundInto(copies, own);
  division_.ranks->Gather(NameOf(number), own, copies.counts, all);
}

void SharedUnits::RoundInto(const Copies& copies, const torch::Tensor& own) const {
  int64_t begin = 0;
  for (const plan::Extent& part : copies.owned) {
    own.narrow(0, begin, part.end - part.begin).copy_(store_.OwnedValues(part));
    begin += part.end - part.begin;
  }
  FT_CHECK(begin == own.numel()) << begin << " of " << own.numel();
}

void SharedUnits::Free(Unit& unit) {
  for (Copies& copies : unit.copies) {
    if (division_.units) Give(*copies.buffer);
  }
  if (unit.frozen != nullptr) Give(*unit.frozen);
}

void SharedUnits::Take(UnitBuffer& buffer) {
  buffer.Allocate();
  gathered_ += buffer.size();
  most_gathered_ = std::max(most_gathered_, gathered_);
}

void SharedUnits::Give(UnitBuffer& buffer) {
  buffer.Free();
  gathered_ -= buffer.size();
}

std::vector<int64_t> SharedUnits::frozen_bytes() const {
  std::vector<int64_t> bytes;
  for (const auto& [number, unit] : units_) {
    if (unit.frozen == nullptr) continue;
    bytes.resize(static_cast<size_t>(number) + 1);
    bytes.back() = unit.frozen->size();
  }
  return bytes;
}

int64_t SharedUnits::own_frozen_bytes() const {
  int64_t bytes = 0;
  for (const auto& [number, unit] : units_) {
    if (unit.own_frozen.defined()) bytes += static_cast<int64_t>(unit.own_frozen.nbytes());
  }
  return bytes;
}

StoreAndUnits MakeStoreAndUnits(const WeightDivision& division, plan::SliceTable table,
                                const StoreOptions& options) {
  StoreAndUnits made;
  const bool shares = division.ranks != nullptr && (division.units || plan::HasNarrowCopies(table));
  if (shares) {
    plan::Share share = plan::Share::Of(plan::Slices(table, division.slices), division.ranks->who());
    made.store = std::make_unique<ParameterStore>(std::move(table), std::move(share), options.copy_type,
                                                  options.device, division.values);
  } else {
    made.store = std::make_unique<ParameterStore>(std::move(table), options.device);
  }
  if (!shares && division.tier == nullptr) {
    made.units = std::make_unique<ResidentUnits>();
    return made;
  }
  auto units = std::make_unique<SharedUnits>(division, *made.store, options.blocks);
  made.shared = units.get();
  made.units = std::move(units);
  return made;
}

}  // namespace ft::params
