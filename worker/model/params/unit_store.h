// Weights of a unit (plan::TrainedTensor::unit: embedding, a block, head) while they are used. Whoever computes acquires a unit,
// reads its slots, and releases it; where the weights are meanwhile is the store's affair.
#pragma once

namespace ft::params {

// Lives on the training thread.
class UnitStore {
 public:
  virtual ~UnitStore() = default;
  // Until Release, the slots of the unit may be read. A unit is not acquired twice at a time.
  virtual void Acquire(int unit) = 0;
  virtual void Release(int unit) = 0;
  // What is trained was updated: weights that are acquired from now on have the new values.
  virtual void TrainedChanged() = 0;
};

// Holds a unit for as long as it lives.
class UnitLease {
 public:
  UnitLease(UnitStore& store, int unit) : store_(store), unit_(unit) { store_.Acquire(unit_); }
  ~UnitLease() { store_.Release(unit_); }
  UnitLease(const UnitLease&) = delete;
  UnitLease& operator=(const UnitLease&) = delete;

 private:
  UnitStore& store_;
  const int unit_;
};

// All weights lie in this process's memory all the time.
class ResidentUnits final : public UnitStore {
 public:
  void Acquire(int) override {}
  void Release(int) override {}
  void TrainedChanged() override {}
};

}  // namespace ft::params
