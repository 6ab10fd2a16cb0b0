// The variables of a running template.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "worker/data/jinja/jinja_value.h"

namespace ft::data::jinja {

// The names set in one block, and the block around it. Names are those of the parsed template, which outlives it.
struct Scope {
  explicit Scope(Scope* around) : parent(around) {}

  const Value* Find(std::string_view name) const {
    for (const auto& [known, value] : names) {
      if (known == name) return &value;
    }
    return nullptr;
  }
  void Set(std::string_view name, Value value) {
    for (auto& entry : names) {
      if (entry.first != name) continue;
      entry.second = std::move(value);
      return;
    }
    names.emplace_back(name, std::move(value));
  }

  Scope* parent;
  std::vector<std::pair<std::string_view, Value>> names;
  bool kept = false;  // A macro or a loop refers to it, so it stays until the end of the rendering.
};

// The chain of scopes at the place that runs. Those that something refers to stay when they are left.
class Scopes {
 public:
  Scopes() { current_ = kept_.emplace_back(std::make_unique<Scope>(nullptr)).get(); }

  Scope* current() const { return current_; }
  const Value* Find(std::string_view name) const {
    for (const Scope* scope = current_; scope != nullptr; scope = scope->parent) {
      if (const Value* found = scope->Find(name)) return found;
    }
    return nullptr;
  }
  // The scope that runs and all around it stay.
  void Keep() {
    for (Scope* scope = current_; scope != nullptr; scope = scope->parent) scope->kept = true;
  }

  // A scope inside `around` that runs as long as this object lives.
  class Entered {
   public:
    Entered(Scopes& scopes, Scope* around)
        : scopes_(scopes), outside_(scopes.current_), scope_(std::make_unique<Scope>(around)) {
      scopes_.current_ = scope_.get();
    }
    ~Entered() {
      scopes_.current_ = outside_;
      if (scope_->kept) scopes_.kept_.push_back(std::move(scope_));
    }
    Entered(const Entered&) = delete;
    Entered& operator=(const Entered&) = delete;

   private:
    Scopes& scopes_;
    Scope* outside_;
    std::unique_ptr<Scope> scope_;
  };

 private:
  std::vector<std::unique_ptr<Scope>> kept_;
  Scope* current_;
};

}  // namespace ft::data::jinja
