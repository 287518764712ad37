#include "base/bounded_queue.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

namespace perigee {
namespace {

TEST(BoundedQueue, GivesValuesInOrderAndRefusesWhenFull) {
  BoundedQueue<std::unique_ptr<int>> queue{4};
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(queue.try_push(std::make_unique<int>(i)));
  auto refused = std::make_unique<int>(9);
  EXPECT_FALSE(queue.try_push(std::move(refused)));
  EXPECT_NE(refused, nullptr) << "a refused value stays with the caller";
  for (int i = 0; i < 4; ++i) EXPECT_EQ(**queue.try_pop(), i);
  EXPECT_FALSE(queue.try_pop());
  EXPECT_TRUE(queue.try_push(std::move(refused)));
}

TEST(BoundedQueue, CloseRefusesNewValuesAndKeepsQueuedOnes) {
  BoundedQueue<int> queue{4};
  ASSERT_TRUE(queue.try_push(1));
  queue.close();
  EXPECT_FALSE(queue.try_push(2));
  EXPECT_TRUE(queue.wait_for_value());
  EXPECT_EQ(queue.try_pop(), 1);
  EXPECT_FALSE(queue.wait_for_value());
  EXPECT_TRUE(queue.wait_for_close(seconds{60}));
}

TEST(BoundedQueue, LosesNothingBetweenManyProducersAndASleepyConsumer) {
  constexpr int kProducers = 4;
  constexpr int kEach = 5'000;
  BoundedQueue<int> queue{16};
  std::vector<std::thread> producers;
  for (int p = 0; p < kProducers; ++p) {
    producers.emplace_back([&queue, p] {
      for (int i = 0; i < kEach;) {
        if (queue.try_push(p * kEach + i))
          ++i;
        else
          std::this_thread::yield();
      }
    });
  }
  std::vector<int> next(kProducers, 0);
  for (int received = 0; received < kProducers * kEach; ++received) {
    ASSERT_TRUE(queue.wait_for_value());
    const int value = *queue.try_pop();
    EXPECT_EQ(value % kEach, next.at(static_cast<std::size_t>(value / kEach))++);
  }
  for (std::thread& producer : producers) producer.join();
  EXPECT_FALSE(queue.try_pop());
}

}  // namespace
}  // namespace perigee
