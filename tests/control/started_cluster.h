// The fixture of most control tests: a coordinator and one worker that run, and at the end of every test the
// judgement of history_check on what happened.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "tests/control/cluster.h"

namespace ft::testing {

class StartedCluster : public ::testing::Test {
 protected:
  explicit StartedCluster(ClusterOptions options = {}) : cluster_(std::move(options)) {}
  void SetUp() override {
    cluster_.StartCoordinator();
    cluster_.StartWorker();
  }
  void TearDown() override { cluster_.Check(); }

  pb::Job Submit(const CreateOptions& options) {
    pb::Job job;
    const grpc::Status status = cluster_.Create(options, &job);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return job;
  }

  // Every step from 1 to `steps` exactly once, with the loss that the fake rank gives it.
  void ExpectWholeSeries(const std::string& job, int64_t steps) {
    const std::vector<pb::MetricPoint> points = cluster_.Metrics(job);
    std::set<int64_t> seen;
    for (const pb::MetricPoint& point : points) {
      seen.insert(point.record().step().step());
      EXPECT_DOUBLE_EQ(point.record().step().loss(), 7.0 / static_cast<double>(point.record().step().step()));
    }
    EXPECT_EQ(points.size(), static_cast<size_t>(steps));
    EXPECT_EQ(seen.size(), static_cast<size_t>(steps));
  }

  bool HasEvent(const std::string& type) {
    const std::vector<pb::Event> events = cluster_.Events("");
    return std::any_of(events.begin(), events.end(),
                       [&](const pb::Event& event) { return event.type() == type; });
  }

  Cluster cluster_;
};

}  // namespace ft::testing
