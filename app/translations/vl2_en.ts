<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="en_US" sourcelanguage="en_GB">
<context>
    <name>HistoryRows</name>
    <message numerus="yes">
        <source>%n question(s)</source>
        <translation>
            <numerusform>%n question</numerusform>
            <numerusform>%n questions</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>ModelCard</name>
    <message numerus="yes">
        <source>%n frame(s)</source>
        <translation>
            <numerusform>%n frame</numerusform>
            <numerusform>%n frames</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>QuestionEditor</name>
    <message numerus="yes">
        <source>%n later question(s) will be removed.</source>
        <translation>
            <numerusform>%n later question will be removed.</numerusform>
            <numerusform>%n later questions will be removed.</numerusform>
        </translation>
    </message>
</context>
</TS>
