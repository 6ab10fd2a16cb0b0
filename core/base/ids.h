// Strong ids: a function that takes a JobId cannot be given a node's id.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <ostream>
#include <string>

namespace ft {

template <typename Tag>
struct StringId {
  std::string value;
  auto operator<=>(const StringId&) const = default;
  friend std::ostream& operator<<(std::ostream& out, const StringId& id) { return out << id.value; }
};

using JobId = StringId<struct JobIdTag>;
using NodeId = StringId<struct NodeIdTag>;
using NamespaceId = StringId<struct NamespaceIdTag>;
using RequestId = StringId<struct RequestIdTag>;

// Counts the attempts of one job from 1; a write that carries an older epoch than the job's is refused.
struct Epoch {
  int64_t value = 0;
  auto operator<=>(const Epoch&) const = default;
};

// Counts every committed change of the coordinator's state; also the position in its event log.
struct Revision {
  int64_t value = 0;
  auto operator<=>(const Revision&) const = default;
};

}  // namespace ft

template <typename Tag>
struct std::hash<ft::StringId<Tag>> {
  size_t operator()(const ft::StringId<Tag>& id) const { return std::hash<std::string>()(id.value); }
};
