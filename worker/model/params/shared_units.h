// A model's weights where they are not all in place: ranks of a job divide them, each has its slices, and units are brought together while
// they are used (ZeRO-3, Rajbhandari et al., arXiv 1910.02054), or copies of what is trained after each update; or what a rank has of
// them rests on a tier.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/plan/passes.h"
#include "core/plan/unit_copies.h"
#include "worker/model/ops/weight_slot.h"
#include "worker/model/params/parameter_store.h"
#include "worker/model/params/unit_buffer.h"
#include "worker/model/params/unit_gatherer.h"
#include "worker/model/params/unit_store.h"

namespace ft::params {

// Frozen weights lie packed, as their slots hold them, end to end in one run of bytes a unit, which is cut without regard to tensors;
// trained ones as copies in the type that products read (plan::CopyRun). Both are in memory for the two units that were used last;
// with a tier and units that are not divided the frozen ones alone are, and copies all the time. Copies are made of this rank's values when
// they are brought together; where values rest and copies are kept, the store has them up to date (ParameterStore::KeepCopies).
//
// Where ranks divide units everything but Divide is collective. All throw UnitUnavailable. Lives on the training thread.
class SharedUnits final : public UnitStore {
 public:
  // `store` outlives this as division.ranks does. Where it has values of this rank's share slots read its weights from here. `blocks`
  // names the units: embedding, block.0 and so on, head.
  SharedUnits(const WeightDivision& division, ParameterStore& store, int blocks);

  // Whether frozen weights come with their unit; else they stay where they were read to.
  bool brings_frozen() const { return division_.units || division_.tier != nullptr; }
  // The frozen slots of a unit, whole: keeps this rank's bytes. Once a unit, before it is acquired. REQUIRES: brings_frozen().
  void Divide(int unit, const std::vector<ops::SlotPtr>& slots);

  void Acquire(int unit) override;
  void Release(int unit) override;
  // Copies of trained weights are of yesterday: those that are kept are brought together anew.
  void TrainedChanged() override;

  // Bytes of the frozen weights of each unit, on all ranks together.
  std::vector<int64_t> frozen_bytes() const;
  // Bytes that this rank holds where passes compute: of its own frozen slices, and of buffers that have memory at this moment and had at
  // most.
  int64_t own_frozen_bytes() const;
  int64_t gathered_bytes() const { return gathered_; }
  int64_t most_gathered_bytes() const { return most_gathered_; }

 private:
  // Copies of trained weights of one width.
  struct Copies {
    plan::CopyRun run;
    std::vector<size_t> counts;       // By rank.
    std::vector<plan::Extent> owned;  // Of the table.
    std::unique_ptr<UnitBuffer> buffer;
  };
  struct Unit {
    std::vector<Copies> copies;
    plan::Extent own;          // This rank's bytes of the frozen ones.
    torch::Tensor own_frozen;  // uint8, where they do not rest.
    std::unique_ptr<RestingBytes> resting;
    std::vector<size_t> frozen_counts;   // Bytes, by rank.
    std::unique_ptr<UnitBuffer> frozen;  // Null where nothing is.
  };

  // Whose share of frozen bytes this rank has, and of how many slices.
  plan::RankOf who() const { return division_.units ? division_.ranks->who() : plan::RankOf(); }
  void Keep(int number, Unit& unit);
  void Gather(int number, Unit& unit);
  void GatherFrozen(int number, Unit& unit);
  void GatherCopies(int number, Copies& copies);
  // This rank's values, rounded once, end to end.
  void RoundInto(const Copies& copies, const torch::Tensor& own) const;
  // Whether what is brought together of copies lies in its place already.
  bool keeps_own_copies() const { return store_.values_rest() && !division_.units; }
  std::string NameOf(int unit) const;
  void Free(Unit& unit);
  void Take(UnitBuffer& buffer);
  void Give(UnitBuffer& buffer);

  const WeightDivision division_;
  ParameterStore& store_;
  const plan::Slices slices_;
  const int blocks_;
  std::map<int, Unit> units_;
  plan::UnitWindow window_;
  int64_t gathered_ = 0, most_gathered_ = 0;
};

// A store, and who keeps its units.
struct StoreAndUnits {
  std::unique_ptr<ParameterStore> store;
  std::unique_ptr<UnitStore> units;
  SharedUnits* shared = nullptr;  // `units`, where that is one.
};

struct StoreOptions {
  at::ScalarType copy_type = at::kFloat;  // That products read what is trained in.
  at::Device device = at::kCPU;
  int blocks = 0;
};

// Of values of a share where the division says so, and copies differ from values, else of all of them; and shared units wherever weights
// are not all in place.
StoreAndUnits MakeStoreAndUnits(const WeightDivision& division, plan::SliceTable table,
                                const StoreOptions& options);

}  // namespace ft::params
