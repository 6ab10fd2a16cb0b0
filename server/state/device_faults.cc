#include "server/state/device_faults.h"

#include <algorithm>

#include "server/state/failure.h"
#include "server/state/transaction.h"

namespace ft::state {
namespace {

bool MetADeviceFault(const spb::StoredRank& rank) {
  return rank.device_uuids_size() > 0 && FailureOf(rank).failure_class() == pb::DEVICE_FAULT;
}

bool EndedWithout(const spb::StoredRank& rank) {
  const auto result = rank.result().state();
  return rank.failure_class().empty() &&
         (result == wpb::ResultRecord::SUCCEEDED || result == wpb::ResultRecord::STOPPED);
}

void Forget(Transaction& transaction, const spb::StoredRank& rank) {
  const NodePtr node = transaction.base().nodes.Find(rank.node_id());
  if (node == nullptr) return;
  for (const std::string& uuid : rank.device_uuids()) {
    if (node->device_faults().contains(uuid))
      transaction.Node(rank.node_id())->mutable_device_faults()->erase(uuid);
  }
}

void Count(Transaction& transaction, const spb::StoredRank& rank) {
  spb::StoredNode* node = transaction.Node(rank.node_id());
  if (node == nullptr) return;
  for (const std::string& uuid : rank.device_uuids()) {
    spb::DeviceFaults& faults = (*node->mutable_device_faults())[uuid];
    faults.set_in_a_row(faults.in_a_row() + 1);
    if (faults.in_a_row() < kFaultsUntilExclusion) continue;
    *faults.mutable_until() = ToProto(transaction.now() + kExclusion);
    transaction.Log(
        {StrCat("nodes/", rank.node_id()), "DEVICE_EXCLUDED",
         StrCat(uuid, " takes no job for ", absl::FormatDuration(kExclusion), ": ", faults.in_a_row(),
                " attempts in a row ended with a fault of it, the last with: ", FailureOf(rank).message())});
  }
}

}  // namespace

void NoteDevices(Transaction& transaction, const spb::StoredAttempt& attempt) {
  const auto& ranks = attempt.ranks();
  const auto blamed = std::count_if(ranks.begin(), ranks.end(), [](const spb::StoredRank& rank) {
    return !EndedWithout(rank) && MetADeviceFault(rank);
  });
  for (const spb::StoredRank& rank : ranks) {
    if (EndedWithout(rank)) {
      Forget(transaction, rank);
    } else if (blamed == 1 && MetADeviceFault(rank)) {
      Count(transaction, rank);
    }
  }
}

absl::Duration ExcludedFor(const spb::StoredNode& node, const std::string& uuid, absl::Time now) {
  const auto faults = node.device_faults().find(uuid);
  if (faults == node.device_faults().end() || !faults->second.has_until()) return absl::ZeroDuration();
  return std::max(FromProto(faults->second.until()) - now, absl::ZeroDuration());
}

std::string ProblemOf(const spb::StoredNode& node, const pb::Device& device, absl::Time now) {
  if (!device.problem().empty()) return device.problem();
  const absl::Duration left = ExcludedFor(node, device.uuid(), now);
  if (left == absl::ZeroDuration()) return "";
  return StrCat("takes no job for another ", absl::ToInt64Minutes(left) + 1,
                " min: ", node.device_faults().at(device.uuid()).in_a_row(),
                " attempts in a row ended with a fault of it; ftctl uncordon ", node.node_id(), " ends that");
}

bool HasEndedExclusion(const spb::StoredNode& node, absl::Time now) {
  return std::any_of(node.device_faults().begin(), node.device_faults().end(), [now](const auto& faults) {
    return faults.second.has_until() && FromProto(faults.second.until()) <= now;
  });
}

void EndExclusions(Transaction& transaction) {
  std::vector<std::string> nodes;
  transaction.base().nodes.ForEach([&](const NodePtr& node) {
    if (HasEndedExclusion(*node, transaction.now())) nodes.push_back(node->node_id());
  });
  for (const std::string& id : nodes) {
    for (auto& [uuid, faults] : *transaction.Node(id)->mutable_device_faults()) {
      if (!faults.has_until() || FromProto(faults.until()) > transaction.now()) continue;
      faults.clear_until();
      faults.set_in_a_row(kFaultsUntilExclusion - 1);
      transaction.Log({StrCat("nodes/", id), "DEVICE_TAKEN_BACK", StrCat(uuid, " takes jobs again")});
    }
  }
}

}  // namespace ft::state
