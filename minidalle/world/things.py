"""Two hundred things of the emoji pack that the abilities share, each whole and by itself.

A model that has seen ten animals in eight materials learns eighty pictures by heart. With a
hundred animals it is cheaper to learn what an animal is, what a material is, and how the two go
together. That is why there are so many.

A transformer of 4.8 million parameters, trained on 1.1 million pictures of a world that had 28 to
350 combinations for most abilities, lost 0.03 to 0.05 nats a code on these, and 1 to 6 on those
held out. Trained on 2.3 million pictures of this world, which has ten times as many, it loses much
the same on both where things stand side by side. Where one word changes how every pixel of another
thing looks it does not: it loses 0.06 to 0.8 on combinations that it was shown, and 0.8 to 3.5 on
others (`minidalle evaluate --split "code losses"`). There, hundreds are still too few.
"""

ANIMALS = """ant chick badger bat beaver beetle bird bison blowfish butterfly camel cat chicken
chipmunk cow crab crocodile dodo dog dolphin dove dragon duck elephant ewe fish flamingo giraffe
goat goose hedgehog hippopotamus bee horse jellyfish kangaroo ladybug leopard lizard llama
lobster mammoth monkey mouse octopus otter owl ox parrot peacock penguin pig poodle rabbit ram rat
rooster dinosaur scorpion seal shark shrimp skunk sloth snail snake spider whale squid swan t-rex
tiger tropical-fish turkey turtle water-buffalo""".split()

PLANTS = """cactus tree fir-tree palm-tree clover feather maple-leaf mushroom rose shell sunflower
tulip""".split()

FOODS = """avocado banana bell-pepper birthday-cake candy carrot
coconut cookie croissant cucumber cupcake doughnut dumpling egg eggplant green-apple
burger hot-dog chili ice-cream kiwi lemon lollipop mango melon onion peach peanut pear pie
pineapple pizza potato pretzel apple sandwich strawberry taco orange tomato waffle
watermelon honey-pot""".split()

VEHICLES = """airplane ambulance car bicycle bus fire-engine helicopter locomotive motorcycle rocket
sailboat tractor racing-car canoe flying-saucer taxi truck skateboard scooter""".split()

BUILDINGS = """castle church house school tent hut""".split()

OBJECTS = """alarm-clock anchor umbrella accordion backpack basket bed bell boomerang broom bucket
camera candle chair coat crown door dress drum gear diamond guitar hammer handbag harp
high-heel boot key ladder laptop light-bulb lock magnet microscope pencil radio ring sneaker
saxophone shield t-shirt telephone telescope television top-hat trumpet violin wrench
trophy kite teddy-bear soccer-ball basketball balloon gift ice-skate sled bomb hourglass scarf
toolbox shopping-cart fountain axe teapot snowman""".split()

_SLUGS = {  # where the pack has another name
    "chick": "baby-chick",
    "bee": "honeybee",
    "tree": "deciduous-tree",
    "fir-tree": "evergreen-tree",
    "clover": "four-leaf-clover",
    "ladybug": "lady-beetle",
    "dinosaur": "sauropod",
    "shell": "spiral-shell",
    "whale": "spouting-whale",
    "burger": "hamburger",
    "chili": "hot-pepper",
    "kiwi": "kiwi-fruit",
    "peanut": "peanuts",
    "apple": "red-apple",
    "orange": "tangerine",
    "car": "automobile",
    "truck": "delivery-truck",
    "scooter": "kick-scooter",
    "diamond": "gem-stone",
    "high-heel": "high-heeled-shoe",
    "boot": "hiking-boot",
    "lock": "locked",
    "sneaker": "running-shoe",
    "gift": "wrapped-gift",
    "hourglass": "hourglass-done",
}
_EVERY = (*ANIMALS, *PLANTS, *FOODS, *VEHICLES, *BUILDINGS, *OBJECTS)

# What captions call a thing → its name in the pack.
THINGS: dict[str, str] = {name.replace("-", " "): _SLUGS.get(name, name) for name in _EVERY}
for _hyphened in ("t-rex", "t-shirt"):
    THINGS[_hyphened] = THINGS.pop(_hyphened.replace("-", " "))


def named(*names: str) -> dict[str, str]:
    """Some of `THINGS`, from names as they stand above."""
    return {
        name: slug
        for name, slug in THINGS.items()
        if name in {n.replace("-", " ") for n in names} | set(names)
    }
