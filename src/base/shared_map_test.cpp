#include "base/shared_map.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"

namespace perigee {
namespace {

using Map = SharedMap<std::string, int>;
using Plain = std::map<std::string, int>;

std::string key_of(std::uint64_t number) { return "key-" + std::to_string(number); }

Plain plain(const Map& map) { return {map.begin(), map.end()}; }

// What differences() tells, as "key before after" with '-' for none.
std::vector<std::string> differences(const Map& before, const Map& after) {
  std::vector<std::string> told;
  Map::differences(before, after, [&told](const auto* old, const auto* now) {
    const auto text = [](const auto* entry) {
      return entry == nullptr ? std::string{"-"} : std::to_string(entry->second);
    };
    told.push_back((old == nullptr ? now : old)->first + " " + text(old) + " " + text(now));
  });
  return told;
}

std::vector<std::string> differences(const Plain& before, const Plain& after) {
  Plain all = before;
  all.insert(after.begin(), after.end());
  std::vector<std::string> told;
  for (const auto& [key, value] : all) {
    const auto old = before.find(key);
    const auto now = after.find(key);
    const auto text = [](const Plain& map, auto found) {
      return found == map.end() ? std::string{"-"} : std::to_string(found->second);
    };
    if (text(before, old) != text(after, now)) {
      told.push_back(key + " " + text(before, old) + " " + text(after, now));
    }
  }
  return told;
}

TEST(SharedMap, IsEmptyAtFirst) {
  const Map map;
  EXPECT_TRUE(map.empty());
  EXPECT_EQ(map.begin(), map.end());
  EXPECT_EQ(map.find("a"), map.end());
  EXPECT_EQ(map.lower_bound("a"), map.end());
  EXPECT_THROW((void)map.at("a"), std::out_of_range);
  EXPECT_FALSE(Map{}.erase("a"));
}

// Each step changes one of some versions, copies one over another now and then, and compares all of
// it with std::map. Values are never given twice, so that each assignment is seen as a difference.
TEST(SharedMap, IsAMapWhoseCopiesAreIndependent) {
  constexpr std::size_t kVersions = 4;
  constexpr std::uint64_t kKeys = 3'000;
  Random random{7};
  std::vector<Map> maps(kVersions);
  std::vector<Plain> plains(kVersions);
  int values = 0;
  for (int step = 0; step < 40'000; ++step) {
    const std::size_t at = random.below(kVersions);
    const std::string key = key_of(random.below(kKeys));
    // Grows for a while, then shrinks.
    const bool grows = step / 10'000 % 2 == 0;
    if (random.below(10) < (grows ? 7U : 3U)) {
      maps[at].insert_or_assign(key, ++values);
      plains[at].insert_or_assign(key, values);
    } else {
      ASSERT_EQ(maps[at].erase(key), plains[at].erase(key) == 1) << key;
    }
    ASSERT_EQ(maps[at].size(), plains[at].size());
    ASSERT_EQ(maps[at].contains(key), plains[at].contains(key));
    if (random.below(200) > 0) continue;
    const std::size_t other = random.below(kVersions);
    ASSERT_EQ(differences(maps[other], maps[at]), differences(plains[other], plains[at]));
    maps[other] = maps[at];
    plains[other] = plains[at];
    for (std::size_t i = 0; i < kVersions; ++i) ASSERT_EQ(plain(maps[i]), plains[i]);
    const auto expected = plains[at].lower_bound(key);
    const auto found = maps[at].lower_bound(key);
    ASSERT_EQ(found == maps[at].end(), expected == plains[at].end());
    if (expected != plains[at].end()) ASSERT_EQ(found->first, expected->first);
  }
  EXPECT_GT(values, 10'000);
  for (std::uint64_t number = 0; number < kKeys; ++number) {
    ASSERT_EQ(maps[0].erase(key_of(number)), plains[0].erase(key_of(number)) == 1);
    if (number % 100 == 0) ASSERT_EQ(plain(maps[0]), plains[0]);
  }
  EXPECT_EQ(maps[0].page_count(), 0U) << "a page goes with its last entry";
  EXPECT_EQ(plain(maps[1]), plains[1]);
}

TEST(SharedMap, KnowsItsVersion) {
  Map map;
  map.insert_or_assign("a", 1);
  Map copy = map;
  EXPECT_TRUE(copy.same_version(map));
  copy.update("a", [](int& value) { value += 1; });
  copy.update("b", [](int& value) { value += 5; });
  EXPECT_FALSE(copy.same_version(map));
  EXPECT_EQ(plain(copy), (Plain{{"a", 2}, {"b", 5}}));
  EXPECT_EQ(plain(map), (Plain{{"a", 1}}));
  copy = map;
  EXPECT_TRUE(copy.same_version(map));
  copy.clear();
  EXPECT_TRUE(copy.same_version(Map{}));
}

TEST(SharedMap, IsEmptyWhenItWasMovedFrom) {
  Map map;
  map.insert_or_assign("a", 1);
  Map other = std::move(map);
  EXPECT_EQ(other.size(), 1U);
  map = Map{};
  other = std::move(map);
  EXPECT_TRUE(other.empty());
}

TEST(SharedMap, HasFullPagesWhereKeysCameInOrderAndHalfFullOnesAtWorst) {
  constexpr std::uint64_t kKeys = 100 * Map::kPageEntries;
  SharedMap<std::uint64_t, int> ascending;
  SharedMap<std::uint64_t, int> descending;
  SharedMap<std::uint64_t, int> random_order;
  Random random{3};
  for (std::uint64_t key = 0; key < kKeys; ++key) {
    ascending.insert_or_assign(key, 0);
    descending.insert_or_assign(kKeys - key, 0);
    random_order.insert_or_assign(random.next(), 0);
  }
  EXPECT_EQ(ascending.page_count(), 100U);
  EXPECT_LE(descending.page_count(), 201U);
  EXPECT_LE(random_order.page_count(), 201U);
}

// That an unchanged entry is the same object in both is what makes a copy cheap.
TEST(SharedMap, CopiesShareAllButWhatChanged) {
  constexpr std::uint64_t kEntries = 10'000;
  Map map;
  for (std::uint64_t i = 0; i < kEntries; ++i) map.insert_or_assign(key_of(i), 0);
  Map copy = map;
  copy.insert_or_assign(key_of(77), 1);
  std::size_t shared = 0;
  for (std::uint64_t i = 0; i < kEntries; ++i) {
    if (&map.at(key_of(i)) == &copy.at(key_of(i))) ++shared;
  }
  EXPECT_EQ(shared, kEntries - 1);
  EXPECT_EQ(differences(map, copy), std::vector<std::string>{"key-77 0 1"});
}

// As a snapshot is written to a file while the next ones are made (for ThreadSanitizer).
TEST(SharedMap, ACopyIsReadAndDroppedByAnotherThreadWhileTheNextAreMade) {
  constexpr int kVersions = 50;
  constexpr std::uint64_t kKeys = 1'000;
  Map map;
  for (std::uint64_t i = 0; i < kKeys; ++i) map.insert_or_assign(key_of(i), 0);
  std::vector<std::jthread> readers;
  for (int version = 1; version <= kVersions; ++version) {
    for (std::uint64_t i = 0; i < kKeys; i += 100) map.insert_or_assign(key_of(i), version);
    readers.emplace_back([copy = map, version]() mutable {
      EXPECT_EQ(copy.at(key_of(0)), version);
      EXPECT_EQ(std::distance(copy.begin(), copy.end()), std::ptrdiff_t{kKeys});
      copy.clear();
    });
  }
}

}  // namespace
}  // namespace perigee
