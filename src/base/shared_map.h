// SharedMap: an ordered map whose copies share what they have in common.
#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

namespace perigee {

// For large tables of which every version is published as a value of its own. Entries stand in
// pages of up to kPageEntries; neither is changed once made. With n entries in p pages (n / 256 to
// n / 128 + 1; after many erasures more):
// - a copy takes p reference counts, whatever the entries hold;
// - a change makes one page anew, but of its entries only the changed one: O(kPageEntries + p);
// - find is O(log n); differences() is O(p + the entries of pages that differ).
// A map is shared between threads as a std::map is: several may read it, or one change it. Its
// copies are maps of their own. References and iterators are good until their map is changed or
// destroyed; a change that throws (std::bad_alloc, what Key and Value throw) leaves the map as it
// was.
template <class Key, class Value>
class SharedMap {
 public:
  static constexpr std::size_t kPageEntries = 256;
  using key_type = Key;
  using mapped_type = Value;
  using value_type = std::pair<const Key, Value>;

 private:
  using Entry = std::shared_ptr<const value_type>;
  using Page = std::vector<Entry>;  // never empty, ascending
  using Pages = std::vector<std::shared_ptr<const Page>>;

 public:
  class const_iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = SharedMap::value_type;
    using difference_type = std::ptrdiff_t;
    using pointer = const value_type*;
    using reference = const value_type&;

    const_iterator() = default;
    reference operator*() const { return *entry(); }
    pointer operator->() const { return entry().get(); }
    const_iterator& operator++() {
      if (++slot_ == (*pages_)[page_]->size()) {
        ++page_;
        slot_ = 0;
      }
      return *this;
    }
    const_iterator operator++(int) {
      const_iterator before = *this;
      ++*this;
      return before;
    }
    friend bool operator==(const const_iterator&, const const_iterator&) = default;

   private:
    friend class SharedMap;
    const_iterator(const Pages& pages, std::size_t page, std::size_t slot)
        : pages_(&pages), page_(page), slot_(slot) {}
    const Entry& entry() const { return (*(*pages_)[page_])[slot_]; }
    bool at_end() const { return page_ == pages_->size(); }
    bool begins_page() const { return slot_ == 0; }
    void skip_page() {
      ++page_;
      slot_ = 0;
    }
    const Page* page() const { return (*pages_)[page_].get(); }

    const Pages* pages_ = nullptr;
    std::size_t page_ = 0;
    std::size_t slot_ = 0;
  };

  SharedMap() = default;
  SharedMap(const SharedMap&) = default;
  SharedMap(SharedMap&& other) noexcept
      : pages_(std::move(other.pages_)), size_(std::exchange(other.size_, 0)) {}
  SharedMap& operator=(SharedMap other) noexcept {
    pages_.swap(other.pages_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~SharedMap() = default;

  std::size_t size() const { return size_; }
  std::size_t page_count() const { return pages_.size(); }
  bool empty() const { return size_ == 0; }
  const_iterator begin() const { return {pages_, 0, 0}; }
  const_iterator end() const { return {pages_, pages_.size(), 0}; }
  // The first entry that is not before `key`.
  const_iterator lower_bound(const Key& key) const;
  const_iterator find(const Key& key) const {
    const const_iterator place = lower_bound(key);
    return place == end() || key < place->first ? end() : place;
  }
  bool contains(const Key& key) const { return find(key) != end(); }
  // std::out_of_range when there is none.
  const Value& at(const Key& key) const {
    const const_iterator found = find(key);
    if (found == end()) throw std::out_of_range{"SharedMap::at"};
    return found->second;
  }

  void insert_or_assign(Key key, Value value);
  // Replaces the value of `key`, or a new one when there is none, by what `change(Value&)` makes of
  // a copy of it.
  template <class Change>
  void update(const Key& key, Change change) {
    const const_iterator found = find(key);
    Value value = found == end() ? Value{} : found->second;
    change(value);
    insert_or_assign(key, std::move(value));
  }
  bool erase(const Key& key);  // whether there was one
  void clear() {
    pages_.clear();
    size_ = 0;
  }

  // Whether both are the same version: copies of each other of which none was changed since, or
  // empty. Other maps with equal entries may well be of two versions. O(p).
  bool same_version(const SharedMap& other) const { return pages_ == other.pages_; }

  // Calls `on(const value_type* before, const value_type* after)`, in ascending order, for each key
  // whose entry isn't the same in both: null where a map has none. Entries that were assigned anew
  // count as different, whatever they hold.
  template <class On>
  static void differences(const SharedMap& before, const SharedMap& after, On on);

 private:
  // The page that has `key`, or would have it. There is one at least.
  std::size_t page_of(const Key& key) const;
  static typename Page::const_iterator slot_of(const Page& page, const Key& key) {
    return std::ranges::lower_bound(page, key, {},
                                    [](const Entry& entry) -> const Key& { return entry->first; });
  }
  void replace_page(std::size_t number, Page page);

  Pages pages_;
  std::size_t size_ = 0;
};

template <class Key, class Value>
std::size_t SharedMap<Key, Value>::page_of(const Key& key) const {
  const auto after = std::ranges::upper_bound(
      pages_, key, {}, [](const auto& page) -> const Key& { return page->front()->first; });
  return after == pages_.begin() ? 0 : static_cast<std::size_t>(after - pages_.begin()) - 1;
}

template <class Key, class Value>
auto SharedMap<Key, Value>::lower_bound(const Key& key) const -> const_iterator {
  if (pages_.empty()) return end();
  const std::size_t number = page_of(key);
  const Page& page = *pages_[number];
  const auto slot = static_cast<std::size_t>(slot_of(page, key) - page.begin());
  return slot == page.size() ? const_iterator{pages_, number + 1, 0}
                             : const_iterator{pages_, number, slot};
}

template <class Key, class Value>
void SharedMap<Key, Value>::insert_or_assign(Key key, Value value) {
  const std::size_t number = pages_.empty() ? 0 : page_of(key);
  Page page;
  if (!pages_.empty()) {
    page.reserve(pages_[number]->size() + 1);
    page = *pages_[number];
  }
  const auto slot = page.begin() + (slot_of(page, key) - page.cbegin());
  const bool known = slot != page.end() && !(key < (*slot)->first);
  auto entry = std::make_shared<const value_type>(std::move(key), std::move(value));
  if (known)
    *slot = std::move(entry);
  else
    page.insert(slot, std::move(entry));
  replace_page(number, std::move(page));
  if (!known) ++size_;
}

// All that may throw comes before the first change.
template <class Key, class Value>
void SharedMap<Key, Value>::replace_page(std::size_t number, Page page) {
  std::shared_ptr<const Page> second;
  if (page.size() > kPageEntries) {
    // Keys that come in ascending order leave full pages behind them.
    const bool appended = number + 1 == pages_.size();
    const auto middle =
        page.begin() + static_cast<std::ptrdiff_t>(appended ? kPageEntries : page.size() / 2);
    second = std::make_shared<const Page>(std::make_move_iterator(middle),
                                          std::make_move_iterator(page.end()));
    page.erase(middle, page.end());
  }
  auto first = std::make_shared<const Page>(std::move(page));
  if (pages_.size() == pages_.capacity()) pages_.reserve(2 * pages_.size() + 1);
  const auto place = pages_.begin() + static_cast<std::ptrdiff_t>(number);
  if (place == pages_.end())
    pages_.push_back(std::move(first));
  else
    *place = std::move(first);
  if (second) pages_.insert(place + 1, std::move(second));
}

template <class Key, class Value>
bool SharedMap<Key, Value>::erase(const Key& key) {
  const const_iterator found = find(key);
  if (found == end()) return false;
  Page page = *found.page();
  page.erase(page.begin() + static_cast<std::ptrdiff_t>(found.slot_));
  if (page.empty())
    pages_.erase(pages_.begin() + static_cast<std::ptrdiff_t>(found.page_));
  else
    pages_[found.page_] = std::make_shared<const Page>(std::move(page));
  --size_;
  return true;
}

template <class Key, class Value>
template <class On>
void SharedMap<Key, Value>::differences(const SharedMap& before, const SharedMap& after, On on) {
  const_iterator old = before.begin();
  const_iterator now = after.begin();
  constexpr const value_type* kNone = nullptr;
  while (!old.at_end() && !now.at_end()) {
    if (old.begins_page() && now.begins_page() && old.page() == now.page()) {
      old.skip_page();
      now.skip_page();
    } else if (old.entry() == now.entry()) {
      ++old;
      ++now;
    } else if (old->first < now->first) {
      on(&*old++, kNone);
    } else if (now->first < old->first) {
      on(kNone, &*now++);
    } else {
      on(&*old++, &*now++);
    }
  }
  for (; !old.at_end(); ++old) on(&*old, kNone);
  for (; !now.at_end(); ++now) on(kNone, &*now);
}

}  // namespace perigee
