"""What people type that is in no training phrasing: twenty ways of asking for every type.

They were written down before any answer to them was seen, and none was taken out or mended
afterwards. The gaps are those of `questions.PHRASINGS`.
"""

COLOR = """\
Which colour would you say the {shape} is?
What hue does the {shape} have?
Can you tell me what colour the {shape} is?
i'd like to know the {shape}'s color
How is the {shape} colored?
In what color is the {shape} drawn?
Name the {shape}'s colour.
so what color is that {shape} then
What color was used for the {shape}?
The {shape}: which color?
Could you describe the colour of the {shape}?
Please say which color the {shape} is.
Look at the {shape}. What color do you see?
There's a {shape} in the clip, what color is it?
What colour is that {shape} over there?
If you had to paint the {shape}, which color would you pick?
I can't make out the color of the {shape}, can you?
what color does the {shape} come in
Identify the color of the {shape}.
Do you know what color the {shape} is?
"""
SHAPE = """\
What kind of shape is the {color} one?
Which geometric figure is {color}?
what's that {color} thing supposed to be
Can you name the shape that is {color}?
Is the {color} one a circle, a square, a triangle or a cross?
What form does the {color} object have?
The {color} object, what shape is that?
Please identify the {color} shape.
which shape is painted {color}
What figure do you see in {color}?
i see something {color}, what shape is it
Describe the shape of the {color} item.
What would you call the {color} shape?
Tell me what the {color} thing looks like in outline.
Going by its outline, what is the {color} object?
Something in the clip is {color}. What shape is it?
How would you describe the form of the {color} one?
Which of the shapes is {color}?
Do you know what shape the {color} object is?
Say what shape the {color} thing is.
"""
SIZE = """\
Is it a big or a little {name}?
How would you describe the size of the {name}?
would you call the {name} big
Is the {name} on the large side or the small side?
What are the dimensions of the {name}, small or large?
the size of that {name}, please
Does the {name} look big or small to you?
Roughly how big does the {name} look?
Which size does the {name} have?
The {name}, is it large or small?
Is that {name} tiny or huge?
Can you tell how large the {name} is?
I wonder how big the {name} is.
Say whether the {name} is small or large.
how much space does the {name} take up
Is the {name} one of the big ones or one of the small ones?
What about the size of the {name}?
Please describe how big the {name} is.
Do you see a small {name} or a large one?
In terms of size, what is the {name} like?
"""
COUNT = """\
How many shapes does the clip show?
What's the total number of shapes?
how many of them are there altogether
Could you count the things on screen for me?
Tell me how many objects you can make out.
How many figures appear in the picture?
Number of objects?
Please count everything you see.
I'd like to know how many shapes there are.
In total, how many items are visible?
how many things can you spot
Give me the object count.
Is there just one object, or are there more?
How many separate objects are on the screen?
What is the count of the things shown?
With how many objects are we dealing here?
How many geometric shapes are in this video?
Can you work out how many objects there are?
how many pieces are in the scene
Say how many shapes are visible.
"""
BACKGROUND = """\
What color is it behind everything?
In front of what color do the shapes stand?
what's the backdrop like
Which color fills the rest of the picture?
What colour is the backdrop?
Tell me the colour of the background.
How would you describe the backdrop?
the background, what color is it
On what color of background are the shapes?
What color is the canvas?
Can you name the background's color?
Apart from the shapes, what color is the picture?
Identify the color of the background.
Which colour was chosen for the background?
What's the main color behind the shapes?
What sort of background is there?
i want to know the background colour
The scene is set against what color?
What does the background look like?
Say what color lies behind the shapes.
"""
EXIST = """\
Can a {name} be seen anywhere?
Have you spotted a {name}?
Does a {name} occur in the clip?
any {name} in there
Is a {name} among the shapes?
Did you notice a {name}?
I'm looking for a {name}, is there one?
Does the clip contain a {name}?
Is one of the shapes a {name}?
Tell me whether there is a {name}.
Would I find a {name} in this video?
Is there something like a {name} to be seen?
Does a {name} show up at any point?
please check if there is a {name}
Is a {name} part of the scene?
there's a {name} in it, right
Was there a {name} in that clip?
Do we get to see a {name}?
Is it true that the video has a {name}?
Could you find a {name} for me?
"""
MOTION = """\
In what direction is the {name} travelling?
Where is the {name} heading?
Tell me which way the {name} goes.
Describe the movement of the {name}.
is the {name} moving, and if so, which way
Does the {name} go left, right, up or down?
What path does the {name} take?
Which direction does the {name} take?
To which side is the {name} moving?
How is the {name} moving around?
Can you describe how the {name} travels?
Is the {name} moving or standing still?
the {name}, where's it off to
What kind of motion does the {name} make?
Follow the {name}: where does it move?
What is the {name} doing?
Please explain how the {name} moves across the picture.
Towards which edge does the {name} move?
I lost track of the {name}, which way did it go?
How does the position of the {name} change?
"""
BOUNCE = """\
Does the {name} reverse at some point?
Does the {name} go back the way it came?
Is the {name} coming back again?
Does the {name} turn back halfway?
does the {name} make a u-turn
Tell me whether the {name} bounces.
Will the {name} end up where it started?
Does the {name} switch direction at any time?
Is there a moment when the {name} turns back?
Did the {name} bounce off and come back?
Does the {name} move there and back?
I want to know if the {name} returns.
Does the {name} head back after a while?
is the {name} bouncing back or not
Can you see the {name} change course?
Does the {name} retrace its path?
Is the movement of the {name} a back-and-forth one?
Would you say the {name} turns around on its way?
Does the direction of the {name} flip?
Has the {name} reversed its direction by the end?
"""
CHANGE = """\
Is the {name} visible throughout, or does it come or go?
What becomes of the {name}?
Does the {name} pop up or go away?
Tell me if the {name} appears, disappears or stays.
Is the {name} present from start to end?
did the {name} vanish
Does the {name} stay in view the whole time?
Has the {name} gone by the end, or is it new?
Does anything happen to the {name}?
When it comes to the {name}, does it show up, go away or remain?
Is the {name} always visible?
Does the {name} turn up only later or leave early?
what's going on with the {name}, does it come or go
Can the {name} be seen during the whole clip?
Do we lose the {name} at some point, or does it show up?
Does the {name} remain on screen?
Say what happens with the {name} over time.
Is the {name} added or removed during the video?
Does the {name} enter the scene, leave it or stay?
How long is the {name} there: always, at first or only later?
"""
ORDER = """\
Between the {a} and the {b}, which shows up {rank}?
Who is {rank} to show up, the {a} or the {b}?
Of the {a} and the {b}, which one comes {rank}?
The {a} or the {b}: which appeared {rank}?
Tell me which pops up {rank}, the {a} or the {b}.
Is it the {a} or the {b} that appears {rank}?
which do we see {rank}, the {a} or the {b}
What shows itself {rank}, the {a} or the {b}?
Two things appear, the {a} and the {b}. Which is {rank}?
Which one enters the picture {rank}, the {a} or the {b}?
Did the {a} or the {b} turn up {rank}?
In the order of appearance, is the {a} or the {b} {rank}?
Comparing the {a} with the {b}, which arrives {rank}?
was it the {a} or the {b} that came {rank}
I'd like to know what appears {rank}: the {a} or the {b}?
Say whether the {a} or the {b} arrives {rank}.
Out of the {a} and the {b}, what emerges {rank}?
Which of these becomes visible {rank}, the {a} or the {b}?
The {a} and the {b} both appear, but which {rank}?
Please tell me which came {rank}, the {a} or the {b}.
"""
FLASH = """\
Did the screen light up at any moment?
Is there a sudden flash in the picture?
does the backdrop flash
Can you see the background light up?
Does the picture flash at some point?
Did you catch a flash?
Tell me whether something flashes.
Is anything flashing here?
Does the screen blink?
Does the background change color for a moment?
I thought I saw a flash, was there one?
Is there a short burst of light?
Does the whole picture brighten for an instant?
any flashes in this clip
Does a flash of light occur?
Does the background suddenly turn bright?
Would you say that the background flashes?
Have you noticed a flash in the background?
Please check the video for a flash.
does it flash or not
"""
SOUND = """\
What is there to hear?
What noise does it make?
Which sound is playing?
Tell me about the sound.
what's on the audio track
How does it sound?
What are you hearing?
Can you identify the sound?
What sort of noise is that?
Listen closely: what is that sound?
Is it a tone, beeps or noise?
What does the audio contain?
Please describe what you hear.
which kind of sound can be heard
What's that sound?
Could you tell me what the audio is like?
What would you call this sound?
Describe the audio.
What do your ears tell you?
In words, what does one hear?
"""
BEEPS = """\
How many times does it beep?
What's the beep count?
how many bleeps did you hear
Tell me the number of beeps.
Could you count how often it beeps?
How many beeping sounds occur?
Number of beeps, please.
Did it beep, and how many times?
How many beeps make up the sound?
Listen and tell me how many beeps there were.
How many short beeps can be heard?
Give me the number of beeps in the audio.
How often do you hear a beep?
Is there one beep or more than one?
what do you get when you count the beeps
Say how many beeps the clip has.
How many beeps are in the soundtrack?
Were there any beeps, and how many?
The beeps, how many of them are there?
I missed the beeps, how many were there?
"""
PITCH = """\
Is the tone deep or high-pitched?
Would you call the sound high or low?
how high-pitched is it
Is it a deep sound?
Does it sound high or low to you?
At what pitch is the sound?
Describe the pitch of what you hear.
Is the note low or high?
Tell me whether the sound is high or low.
Is the frequency high or low?
How deep is the sound?
what about the pitch, high or low
Which pitch is it, low or high?
Can you say how high the tone is?
Is the sound at the top or at the bottom of the scale?
Is what I hear a high tone or a low one?
Please judge the pitch: high or low?
Does the tone have a low or a high pitch?
In pitch, is the sound high or is it low?
Are we hearing something high or something low?
"""
TIMBRE = """\
Is the tone clean or buzzing?
Does the sound buzz?
would you call the sound pure or buzzy
What is the quality of the tone?
Does the tone sound clear or rough?
Is it a clean tone or a buzzing one?
How would you describe the tone colour?
Tell me whether the sound is buzzy or pure.
Is there a buzz in the sound?
Which timbre is it, buzzy or pure?
Is the sound smooth or harsh?
What character does the sound have, pure or buzzy?
Is the tone buzzy?
is it more of a pure tone or more of a buzz
Describe the timbre.
Do you hear a pure tone or a buzzy one?
In timbre, is the sound buzzy or pure?
Does it buzz, or is it a pure tone?
Can you tell me the sound's timbre?
What is the texture of the sound, pure or buzzy?
"""
SYNC = """\
Is the sound early, late or on time when {event}?
Relative to the moment {event}, when does the sound begin?
Do you hear anything before {event}, just then or later?
What comes earlier, the sound or the moment {event}, or do they coincide?
Does the sound start at the same time as {event}?
When is the sound heard: before {event}, at that moment or after it?
Tell me if the sound comes before or after {event}.
does the sound match the moment {event}, or is it early or late
At the moment {event}, has the sound already started?
Is the sound in time with the moment {event}?
How does the sound fit in time with the moment {event}?
Does the sound begin just when {event}, sooner or later?
Are sound and picture together when {event}?
Which is first, the sound or the moment {event}, or are they together?
I want to know if the sound leads or follows the moment {event}.
Does the sound precede or follow the moment {event}, or do both happen at once?
By the time {event}, has there been a sound, or does it come then or later?
Compare the start of the sound with the moment {event}: before, together or after?
when {event}, is the sound there already, just starting or still to come
Say when the sound starts: before {event}, after that or just then.
"""
FU_COLOR = """\
And what colour would that be?
what color
Which color is that?
Tell me its colour.
How is it colored?
And which color does it come in?
Could you say what color it is?
What hue is it?
And the color of it?
so what's the colour
Do you know its color?
In which color is it?
Its colour, please.
What color do you see it in?
Can you name its color?
What color was it again?
And what about its color?
Describe its colour.
I'd like to know its color.
Is it red, green, blue or something else?
"""
FU_SHAPE = """\
And what shape would that be?
what shape
Which shape is that?
Tell me its shape.
What form does it have?
What kind of shape is it?
Could you say what shape it is?
Is it a circle, a square, a triangle or a cross?
And the shape of it?
so what's the shape
Do you know its shape?
What figure is it?
Its shape, please.
What does its outline look like?
Can you name its shape?
What shape was it again?
And what about its shape?
Describe its shape.
I'd like to know its shape.
Is it round or does it have corners?
"""
FU_SIZE = """\
Is it big?
Is it a big one or a small one?
how large is it
Tell me its size.
What about its size?
And how big would that be?
Would you call it large or small?
Is it more on the small side or the large side?
Does it look big or small?
Can you describe its size?
Which size does it have?
And the size of it?
so is it big or little
Its size, please.
Is it one of the large ones?
I'd like to know how big it is.
Say whether it is small or large.
How much room does it take up?
What are its dimensions?
Do you know its size?
"""
FU_MOTION = """\
And where is it heading?
Which direction does it take?
Is it moving, and which way?
what does it do
Does it go left, right, up or down?
Tell me which way it goes.
And in which direction?
Describe its movement.
Is it standing still or moving?
where's it going
What path does it follow?
How is it moving?
To which side does it travel?
And its direction?
Does it move at all?
Could you describe how it moves?
What kind of motion does it make?
Towards which edge does it move?
Which way is it off to?
What is it doing?
"""
CAPTION = """\
What is going on in this clip?
Give me a description of the video.
what's happening here
Summarise what can be seen.
Please describe the scene.
Can you tell me what is shown?
Explain what the video shows.
What does the clip look like?
Say what you see on the screen.
I can't watch it right now, what is in it?
Write a caption for this video.
What takes place in this video?
Walk me through the picture.
How would you describe this clip?
What are we looking at?
List what can be seen.
What is visible in the clip?
put the scene into words
What's the video about?
Give a short summary of what you see.
"""
AV_CAPTION = """\
What is going on, and what can be heard?
Give me a description of picture and sound.
what's happening here, and what does it sound like
Summarise what is to be seen and heard.
Please describe the scene together with its audio.
Tell me everything you can see and hear.
Explain what the video shows and how it sounds.
What do the pictures show, and what is the sound?
Describe both the picture and the audio.
I can neither see nor hear it, what is in it?
Write a caption for the video and its sound.
What happens in the video, and which sound is there?
Walk me through the clip, sound included.
How would you describe this clip with its audio?
Say what you see and what you hear.
List what one sees and hears.
What is visible and audible in the clip?
put the picture and the sound into words
Sights and sounds, please.
Give a short summary of what you see and hear.
"""
PARAPHRASES: dict[str, tuple[str, ...]] = {
    kind: tuple(lines.splitlines())
    for kind, lines in {
        "color": COLOR,
        "shape": SHAPE,
        "size": SIZE,
        "count": COUNT,
        "background": BACKGROUND,
        "exist": EXIST,
        "motion": MOTION,
        "bounce": BOUNCE,
        "change": CHANGE,
        "order": ORDER,
        "flash": FLASH,
        "sound": SOUND,
        "beeps": BEEPS,
        "pitch": PITCH,
        "timbre": TIMBRE,
        "sync": SYNC,
        "fu_color": FU_COLOR,
        "fu_shape": FU_SHAPE,
        "fu_size": FU_SIZE,
        "fu_motion": FU_MOTION,
        "caption": CAPTION,
        "av_caption": AV_CAPTION,
    }.items()
}
