#include "core/process/attempt_facts.h"

#include <gtest/gtest.h>

#include "nlohmann/json.hpp"

namespace ft::process {
namespace {

using nlohmann::json;

// Every fact with a value that is not its default.
AttemptFacts Whole() {
  AttemptFacts facts;
  // Does not compile once there are more, so that none is forgotten here.
  auto& [job_id, epoch, kind, world_size, ranks_on_node, threads, device_slots, resume_step, resume_path,
         prepared_cache, prepared_sha256, run_dir, cache_dir, roots, rendezvous, job_created,
         committed_checkpoints] = facts;
  job_id = "j-1";
  epoch = 3;
  kind = "TRAIN";
  world_size = 4;
  ranks_on_node = {0, 2};
  threads = 8;
  device_slots = 2;
  resume_step = int64_t{1} << 40;
  resume_path = "checkpoints/e2-s40";
  prepared_cache = "/data/数据.ftt";
  prepared_sha256 = "ab12";
  run_dir = "/runs/j-1";
  cache_dir = "/cache";
  roots = {"/models", "/uploads"};
  rendezvous = Rendezvous{.store = "tcp", .path = "rendezvous", .host = "10.0.0.1"};
  job_created = 1721995200;
  committed_checkpoints = {{"checkpoints/e1-s20", "cd34"}, {"checkpoints/e2-s40", ""}};
  return facts;
}

json Written(const AttemptFacts& facts) { return json::parse(ToJson(facts).dump()); }

TEST(AttemptFacts, EveryFactComesBack) {
  const json written = Written(Whole());
  EXPECT_EQ(written.size(), 17u);
  const auto read = AttemptFactsFromJson(written);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, Whole());
  EXPECT_EQ(ToJson(*read).dump(), ToJson(Whole()).dump());
}

// What agents of the first versions wrote, to the byte.
TEST(AttemptFacts, OlderAgentsFactsAreReadWithTheDefaults) {
  const std::string older =
      R"({"job_id":"j","epoch":2,"kind":"TRAIN","world_size":2,"ranks_on_node":[0,1],"threads":3,"resume_step":40,)"
      R"("resume_path":"checkpoints/e1-s40","prepared_cache":"/c/data/a.ftt","prepared_sha256":"a","run_dir":"/r/j",)"
      R"("cache_dir":"/c","rendezvous":{"store":"file","path":"rendezvous"}})";
  const auto read = AttemptFactsFromJson(json::parse(older));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->roots, std::vector<std::filesystem::path>{"/"});
  EXPECT_EQ(read->ranks_on_node, (std::vector<int>{0, 1}));
  EXPECT_EQ(read->rendezvous->path, "rendezvous");
  // Their ranks find nothing that is new to them.
  EXPECT_EQ(ToJson(*read).dump(), older);
}

TEST(AttemptFacts, CheckpointsAreTriedFromTheNewestOn) {
  AttemptFacts facts;
  facts.committed_checkpoints = {
      {"checkpoints/e1-s20", "a"}, {"checkpoints/e1-s40", "b"}, {"checkpoints/e2-s60", "c"}};
  EXPECT_TRUE(CheckpointsNewestFirst(facts).empty());
  facts.resume_path = "checkpoints/e2-s60";
  EXPECT_EQ(CheckpointsNewestFirst(facts),
            (std::vector<CommittedCheckpoint>{
                {"checkpoints/e2-s60", "c"}, {"checkpoints/e1-s40", "b"}, {"checkpoints/e1-s20", "a"}}));
  facts.committed_checkpoints.clear();  // An agent of before tells none.
  EXPECT_EQ(CheckpointsNewestFirst(facts), (std::vector<CommittedCheckpoint>{{"checkpoints/e2-s60", ""}}));
}

TEST(AttemptFacts, KeysOfNewerAgentsAreLeftAloneAndNoRootsAllowNothing) {
  json written = Written(Whole());
  written["of_a_newer_version"] = {1, 2};
  written["roots"] = json::array();
  const auto read = AttemptFactsFromJson(written);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_TRUE(read->roots.empty());
  EXPECT_EQ(Written(*read)["roots"], json::array());
}

TEST(AttemptFacts, WhatIsMissingOrWrongIsRefusedByKey) {
  const auto refused = [](const std::string& key, const json& run) {
    const Status status = AttemptFactsFromJson(run).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << key << " " << run;
    EXPECT_EQ(Message(status), "'run" + (key.empty() ? "" : "." + key) + "' is missing or of the wrong kind");
  };
  for (const char* key :
       {"job_id", "epoch", "kind", "world_size", "threads", "run_dir", "cache_dir", "rendezvous"}) {
    json run = Written(Whole());
    run.erase(key);
    refused(key, run);
  }
  const std::pair<const char*, json> wrong[] = {
      {"job_id", 7},
      {"epoch", "3"},
      {"epoch", uint64_t{1} << 63},
      {"kind", "SLEEP"},
      {"world_size", 0},
      {"world_size", int64_t{1} << 32},
      {"ranks_on_node", 1},
      {"ranks_on_node", json::array({"0"})},
      {"threads", 0},
      {"threads", 1.5},
      {"resume_step", nullptr},
      {"resume_path", 1},
      {"prepared_cache", json::object()},
      {"roots", "/"},
      {"roots", json::array({1})},
      {"rendezvous", "tcp"},
      {"job_created", "2024-07-26"},
      {"committed_checkpoints", "checkpoints/e1-s20"},
      {"committed_checkpoints", json::array({"checkpoints/e1-s20"})},
      {"committed_checkpoints", json::array({{{"path", "p"}}})}};
  for (const auto& [key, value] : wrong) {
    json run = Written(Whole());
    run[key] = value;
    refused(key, run);
  }
  const std::pair<const char*, json> meetings[] = {{"store", "udp"}, {"host", ""}, {"host", 7}};
  for (const auto& [key, value] : meetings) {
    json run = Written(Whole());
    run["rendezvous"][key] = value;
    refused(std::string("rendezvous.") + key, run);
  }
  json alone = Written(Whole());
  alone["rendezvous"] = {{"store", "file"}};
  refused("rendezvous.path", alone);
  alone["world_size"] = 1;  // Meets nobody.
  EXPECT_TRUE(AttemptFactsFromJson(alone).ok());
  refused("", 3);
}

}  // namespace
}  // namespace ft::process
